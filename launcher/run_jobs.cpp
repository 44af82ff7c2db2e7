#include "launcher/run_jobs.hpp"

#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <system_error>

#include "core/durable_file.hpp"
#include "core/error.hpp"
#include "core/file_end.hpp"
#include "launcher/launcher_claim.hpp"
#include "slurm/output_notes.hpp"

namespace muster {

namespace {

/// What Slurm wrote into the output of a job that it has forgotten since; of an array into each element's.
std::vector<JobStatus> noted_in_output(const RunPaths& run, const Submission& submission) {
  const std::string begin =
      "slurm-" + *submission.job + (submission.kind == SubmissionKind::pack ? "." : "_");
  std::vector<JobStatus> noted;
  std::error_code error;
  for (std::filesystem::directory_iterator item(run.submission(submission.number).folder(), error), end;
       !error && item != end; item.increment(error)) {
    const std::string name = item->path().filename().string();
    if (!name.starts_with(begin)) continue;
    JobStatus status;
    status.state = state_noted_in(read_end(item->path(), kNotesWithin));
    if (status.state.empty()) continue;
    status.job = status.own_id = *submission.job;
    status.name = submission.request.name;
    status.comment = submission.token;
    if (submission.kind == SubmissionKind::array)
      status.array_task = name.substr(begin.size(), name.find('.') - begin.size());
    noted.push_back(std::move(status));
  }
  return noted;
}

bool is_over(const JobStatus& status) { return phase_of(status.state) == JobPhase::ended; }

/// sacct keeps no comments at many sites: then the name must do.
bool is_of(const JobStatus& status, const Submission& submission) {
  if (submission.job && status.job != *submission.job && status.own_id != *submission.job) return false;
  if (!status.comment.empty()) return status.comment == submission.token;
  return submission.job && is_over(status) && status.name == submission.request.name;
}

}  // namespace

bool RunJob::lives() const {
  return std::any_of(parts.begin(), parts.end(), [](const JobStatus& part) { return !is_over(part); });
}

const JobStatus* RunJob::of_task(int number) const {
  const auto& tasks = submission.tasks;
  if (std::find(tasks.begin(), tasks.end(), number) == tasks.end()) return nullptr;
  if (submission.kind == SubmissionKind::pack) return parts.empty() ? nullptr : &parts.back();
  const JobStatus* found = nullptr;
  for (const JobStatus& part : parts) {
    // An element on its own says more than a range that it was once in.
    if (holds_index(part.array_task, number - submission.first) &&
        (found == nullptr || part.array_task.find_first_of(",-") == std::string::npos))
      found = &part;
  }
  return found;
}

bool RunJobs::any_lives() const {
  return std::any_of(jobs.begin(), jobs.end(), [](const RunJob& job) { return job.lives(); });
}

const RunJob* RunJobs::job_of(int number) const {
  for (auto job = jobs.rbegin(); job != jobs.rend(); ++job) {
    const auto& tasks = job->submission.tasks;
    if (std::find(tasks.begin(), tasks.end(), number) != tasks.end()) return &*job;
  }
  return nullptr;
}

std::string words_of(const JobStatus& status) {
  if (end_of(status.state) != JobEnd::failed || status.signal) return in_plain_words(status);
  switch (static_cast<ExitCode>(status.exit_code.value_or(0))) {
    case ExitCode::stopped:
      return "saved and stopped";
    case ExitCode::task_failed:
      return "ended with failed tasks";
    case ExitCode::busy:
      return "ended at once: another launcher drives the run";
    default:
      return in_plain_words(status);
  }
}

bool holds_index(const std::string& ranges, int index) {
  std::istringstream list(ranges.substr(0, ranges.find('%')));
  int above = -1;
  for (std::string range; std::getline(list, range, ',');) {
    if (range.find("...") != std::string::npos) return index > above;
    int step = 1;
    if (const auto colon = range.find(':'); colon != std::string::npos) {
      step = std::max(1, std::atoi(range.c_str() + colon + 1));
    }
    const int low = std::atoi(range.c_str());
    const auto dash = range.find('-');
    const int high = dash == std::string::npos ? low : std::atoi(range.c_str() + dash + 1);
    if (!range.empty() && index >= low && index <= high && (index - low) % step == 0) return true;
    above = high;
  }
  return false;
}

std::vector<RunJob> match_jobs(std::vector<Submission> submissions, const std::vector<JobStatus>& states) {
  std::vector<RunJob> jobs;
  for (Submission& submission : submissions) {
    RunJob job{std::move(submission), {}};
    for (const JobStatus& status : states) {
      if (!is_of(status, job.submission)) continue;
      if (!job.submission.job) job.submission.job = status.job;
      job.parts.push_back(status);
    }
    jobs.push_back(std::move(job));
  }
  return jobs;
}

RunJobs look_at_jobs(const RunPaths& run, BatchSystem* system) {
  RunJobs result;
  std::vector<Submission> submissions = read_submissions(run);
  std::vector<std::string> ids;
  for (const Submission& submission : submissions) {
    if (submission.job) ids.push_back(*submission.job);
  }
  std::vector<JobStatus> states;
  if (submissions.empty()) return result;
  if (system == nullptr) {
    result.silence = "it was not asked";
  } else {
    try {
      states = system->states(ids, token_prefix(run));
    } catch (const Error& error) {
      result.silence = error.problem();
    }
  }
  std::vector<bool> answered;
  for (const Submission& submission : submissions) answered.push_back(submission.job.has_value());
  result.jobs = match_jobs(std::move(submissions), states);
  for (std::size_t i = 0; i < result.jobs.size(); ++i) {
    Submission& submission = result.jobs[i].submission;
    if (!answered[i] && submission.job) answer_submission(run, submission, *submission.job);
    if (!submission.job || !result.jobs[i].parts.empty() || !result.silence.empty()) continue;
    result.jobs[i].parts = noted_in_output(run, submission);
  }
  return result;
}

std::unique_ptr<BatchSystem> batch_system_of(const RunPaths& run) {
  if (std::filesystem::exists(run.slurm())) return make_slurm(capabilities_from_json(read_text(run.slurm())));
  ProcessIdentity holder;
  // `muster run` in a job that somebody submitted by hand.
  const bool in_job = holder_of(run, holder) == RunHolder::unknown && !holder.job.empty();
  return in_job ? make_slurm({}) : nullptr;
}

}  // namespace muster
