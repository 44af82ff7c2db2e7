#include "launcher/job_submitter.hpp"

#include <chrono>
#include <cstdio>
#include <thread>

#include "core/error.hpp"
#include "launcher/run_jobs.hpp"

namespace muster {

namespace {

/// An sbatch that was called on another host has ended by then.
constexpr auto kLongestSbatch = std::chrono::seconds(70);
constexpr auto kLookEvery = std::chrono::seconds(5);

[[noreturn]] void throw_silence(const RunPaths& run, const std::string& words) {
  throw Error(ExitCode::busy, "whether a job of this run waits or runs is not known: " + words,
              "try again later; 'muster status " + run.folder().string() + "' shows what is on disk");
}

/// Of the first that lives.
void require_none_lives(const RunPaths& run, const RunJobs& jobs) {
  for (const RunJob& job : jobs.jobs) {
    if (!job.lives()) continue;
    const JobStatus* living = &job.parts.front();
    for (const JobStatus& part : job.parts) {
      if (phase_of(part.state) != JobPhase::ended) living = &part;
    }
    throw Error(ExitCode::busy,
                "job " + job.submission.job.value_or("") + " of this run " + in_plain_words(*living),
                "watch it with 'muster watch " + run.folder().string() + "', or end it with 'muster cancel " +
                    run.folder().string() + "'");
  }
}

/// Whether nobody can be waiting for Slurm's answer any more. Throws Error(busy) where somebody of this host
/// is.
bool all_settled(const RunJobs& jobs) {
  bool settled = true;
  for (const RunJob& job : jobs.jobs) {
    if (job.submission.job) continue;
    const ProcessIdentity& submitter = job.submission.submitter;
    const Liveness state = liveness(submitter);
    if (state == Liveness::alive && submitter != own_identity()) {
      throw Error(ExitCode::busy,
                  "process " + std::to_string(submitter.pid) + " of this host is submitting this run",
                  "wait for it to end");
    }
    settled = settled && state != Liveness::unknown;
  }
  return settled;
}

bool adopt(const RunPaths& run, Submission& submission, BatchSystem& system) {
  for (const RunJob& job : look_at_jobs(run, &system).jobs) {
    if (job.submission.number == submission.number) submission.job = job.submission.job;
  }
  return submission.job.has_value();
}

/// Takes back what was accepted of a call that failed.
void take_back(const RunPaths& run, const std::vector<Submission>& submissions, std::size_t failed,
               BatchSystem& system, bool failed_is_known) {
  for (std::size_t i = 0; i < submissions.size(); ++i) {
    if (i < failed) system.cancel(*submissions[i].job);
    if (i > failed || (i == failed && failed_is_known)) withdraw_submission(run, submissions[i]);
  }
}

}  // namespace

void require_no_living_job(const RunPaths& run, BatchSystem& system) {
  const auto until = std::chrono::steady_clock::now() + kLongestSbatch;
  bool told = false;
  while (true) {
    const RunJobs jobs = look_at_jobs(run, &system);
    if (!jobs.silence.empty()) throw_silence(run, jobs.silence);
    require_none_lives(run, jobs);
    if (all_settled(jobs) || std::chrono::steady_clock::now() > until) return;
    if (!told) {
      std::fprintf(stderr,
                   "muster: another host asked Slurm for a job of this run and has no answer yet; waiting "
                   "up to %d s for one\n",
                   static_cast<int>(kLongestSbatch.count()));
      told = true;
    }
    std::this_thread::sleep_for(kLookEvery);
  }
}

void require_jobs_to_wait_for(const std::vector<std::string>& jobs, BatchSystem& system) {
  if (jobs.empty()) return;
  const std::vector<JobStatus> states = system.states(jobs);
  for (const std::string& job : jobs) {
    bool known = false;
    for (const JobStatus& status : states) {
      if (status.job != job && status.own_id != job) continue;
      known = true;
      const JobEnd end = end_of(status.state);
      if (end != JobEnd::none && end != JobEnd::completed)
        throw Error(ExitCode::usage,
                    "job " + job + " " + words_of(status) + ", so nothing would start after it",
                    "leave out --after " + job + ", or run that job again first");
    }
    if (!known)
      throw Error(ExitCode::usage, "Slurm knows no job " + job + " of yours",
                  "leave out --after " + job + " if it has ended well");
  }
}

JobRequest framed(const PlannedSubmission& planned, const JobFrame& frame, const RunPaths& run) {
  JobRequest request = planned.request;
  request.name = frame.name;
  request.working_folder = frame.working_folder;
  request.after = frame.after;
  request.command = {frame.program.string(), "continue", run.folder().string()};
  if (planned.first > 0) {
    request.command.emplace_back("--first");
    request.command.push_back(std::to_string(planned.first));
  }
  return request;
}

std::vector<Submission> submit_all(const RunPaths& run, std::unique_ptr<LauncherClaim> claim,
                                   const std::vector<PlannedSubmission>& plans, const JobFrame& frame,
                                   const SlurmCapabilities& capabilities, BatchSystem& system) {
  std::vector<Submission> submissions;
  for (const PlannedSubmission& planned : plans) {
    JobRequest request = framed(planned, frame, run);
    const std::string script = batch_script(capabilities, request);
    submissions.push_back(
        open_submission(run, planned.kind, planned.tasks, std::move(request), script, planned.first));
  }
  claim.reset();
  std::vector<std::string> jobs;
  for (std::size_t i = 0; i < submissions.size(); ++i) {
    Submission& submission = submissions[i];
    if (i > 0) jobs.push_back(*submissions[i - 1].job);
    // Not on disk: what goes on in another job once this one has begun waits for none of them.
    JobRequest request = submission.request;
    for (std::string& job : jobs_to_wait_for(plans[i], plans, jobs)) request.after.push_back(std::move(job));
    try {
      answer_submission(run, submission, system.submit(request));
    } catch (const Error& error) {
      if (error.code() == ExitCode::storage) throw;
      if (adopt(run, submission, system)) continue;
      const bool refused = error.code() != ExitCode::busy;
      take_back(run, submissions, i, system, refused);
      if (refused) throw;
      throw Error(ExitCode::busy, error.problem(),
                  "whether it took the job is not known: call the same again later, it looks for it first");
    }
  }
  return submissions;
}

}  // namespace muster
