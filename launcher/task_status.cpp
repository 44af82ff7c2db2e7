#include "launcher/task_status.hpp"

#include <algorithm>
#include <filesystem>
#include <map>

#include "core/counted.hpp"
#include "core/error.hpp"
#include "core/journal.hpp"
#include "launcher/attempt_ledger.hpp"
#include "launcher/gang_progress.hpp"
#include "launcher/task_cancels.hpp"
#include "launcher/task_needs.hpp"
#include "launcher/tasks_text.hpp"

namespace muster {

namespace {

using Journaled = std::map<std::string, JournalEntry>;

constexpr const char* kElsewhere = "elsewhere";
constexpr const char* kInterrupted = "interrupted";

std::string state_of(bool done, const AttemptView& view, const JournalEntry* journaled) {
  if (done) return to_string(TaskState::done);
  switch (view.phase) {
    case AttemptPhase::running:
      return to_string(TaskState::running);
    case AttemptPhase::coming_up:
      return to_string(TaskState::starting);
    case AttemptPhase::elsewhere:
      return kElsewhere;
    default:
      break;
  }
  if (journaled == nullptr) return to_string(TaskState::pending);
  const bool unfinished = journaled->state == TaskState::starting || journaled->state == TaskState::running;
  return unfinished ? kInterrupted : to_string(journaled->state);
}

std::string progress_of(const TaskPaths& paths, const AttemptView& view) {
  GangProgress progress(AttemptPaths(paths.attempt(view.number)).events());
  while (progress.poll()) {
  }
  std::string text = progress.text();
  if (view.claimant && view.claimant->host != own_identity().host)
    text += (text.empty() ? "on " : " (on ") + view.claimant->host + (text.empty() ? "" : ")");
  return text;
}

/// Which job was asked for the task, and what Slurm says of it.
void add_job(const RunJobs& jobs, TaskStatus& status) {
  const int number = status.listed.number;
  const RunJob* job = jobs.job_of(number);
  if (job == nullptr) return;
  status.job = job->submission.job.value_or("not known yet");
  if (job->submission.kind == SubmissionKind::array)
    status.job += "_" + std::to_string(number - job->submission.first);
  if (const JobStatus* part = job->of_task(number)) status.job_status = *part;
}

bool lives(const TaskStatus& status) {
  return status.job_status && phase_of(status.job_status->state) != JobPhase::ended;
}

/// Of a task that has no gang.
std::string waiting_text(const TaskStatus& status, const JournalEntry* journaled) {
  const std::string reason = journaled == nullptr ? "" : journaled->reason;
  if (!status.job_status) return reason;
  const std::string words = words_of(*status.job_status);
  if (lives(status)) return phase_of(status.job_status->state) == JobPhase::pending ? words : reason;
  const int code = status.job_status->exit_code.value_or(0);
  const bool by_muster =
      code == static_cast<int>(ExitCode::stopped) || code == static_cast<int>(ExitCode::task_failed);
  // Then the journal has the reason.
  if (end_of(status.job_status->state) == JobEnd::completed || by_muster) return reason;
  return reason + (reason.empty() ? "" : "; ") + "job " + status.job + " " + words;
}

TaskStatus status_of(const ExperimentPaths& experiment, const ListedTask& listed, const Journaled& journal,
                     const RunJobs& jobs, const LivenessOf& liveness_of) {
  const TaskPaths paths = experiment.task(listed.folder);
  const bool done = std::filesystem::exists(paths.done());
  AttemptView view;
  if (done) {
    view.number = highest_attempt(paths);
  } else {
    view = newest_attempt(paths, liveness_of);
  }
  const auto entry = journal.find(listed.folder);
  const JournalEntry* journaled = entry == journal.end() ? nullptr : &entry->second;
  TaskStatus status;
  status.listed = listed;
  status.state = state_of(done, view, journaled);
  status.attempts = view.number;
  status.seconds = seconds_of_attempts(paths);
  add_job(jobs, status);
  if (view.phase == AttemptPhase::running || view.phase == AttemptPhase::elsewhere) {
    status.detail = progress_of(paths, view);
  } else if (!done) {
    status.detail = waiting_text(status, journaled);
  }
  return status;
}

/// Whether a job will try it again that has not begun.
bool is_queued(const TaskStatus& status) {
  return status.job_status && phase_of(status.job_status->state) == JobPhase::pending;
}

void add_cancels(const TaskCancels& cancels, std::vector<TaskStatus>& tasks) {
  for (TaskStatus& task : tasks) {
    if (task.state != to_string(TaskState::pending) || !cancels.contains(task.listed.number)) continue;
    task.state = to_string(TaskState::stopped);
    task.detail = "cancelled";
  }
}

/// `tasks` are in the plan's order: whoever is needed stands before those that need it.
void add_needs(std::vector<TaskStatus>& tasks) {
  std::map<int, const TaskStatus*> by_number;
  for (TaskStatus& task : tasks) {
    by_number[task.listed.number] = &task;
    if (task.state != to_string(TaskState::pending)) continue;
    const TaskStatus* lost = nullptr;
    for (const int number : task.listed.needs) {
      const TaskStatus& needed = *by_number.at(number);
      if (needed.state == to_string(TaskState::done)) continue;
      task.waits_for.push_back(number);
      const bool failed =
          needed.state == to_string(TaskState::failed) || needed.state == to_string(TaskState::blocked);
      if (lost == nullptr && failed && !is_queued(needed)) lost = &needed;
    }
    if (task.waits_for.empty()) continue;
    task.detail = "waits for " + tasks_text(task.waits_for);
    if (lost == nullptr) continue;
    const bool failed = lost->state == to_string(TaskState::failed);
    task.state = to_string(TaskState::blocked);
    task.detail = needs_text(lost->listed.name(), failed ? TaskState::failed : TaskState::blocked);
  }
}

std::string words_of_living_array(const RunJob& job) {
  const Submission& submission = job.submission;
  std::size_t waiting = 0, begun = 0;
  std::string why;
  for (const JobStatus& part : job.parts) {
    const JobPhase phase = phase_of(part.state);
    if (phase == JobPhase::running || phase == JobPhase::completing) ++begun;
    if (phase != JobPhase::pending) continue;
    why = words_of(part);
    for (const int number : submission.tasks)
      waiting += holds_index(part.array_task, number - submission.first) ? 1 : 0;
  }
  const std::string counts =
      ": " + std::to_string(begun) + " running, " + std::to_string(waiting) + " waiting";
  return why.empty() ? counts : counts + " (" + why + ")";
}

std::string words_of_ended_array(const RunJob& job) {
  std::map<std::string, int> ends;
  for (const JobStatus& part : job.parts) ++ends[words_of(part)];
  std::string text;
  for (const auto& [words, times] : ends)
    text += (text.empty() ? ": " : ", ") + std::to_string(times) + " " + words;
  return text;
}

std::string line_of(const RunJob& job) {
  const Submission& submission = job.submission;
  std::string line = (submission.kind == SubmissionKind::array ? "array " : "job ") +
                     submission.job.value_or("(no answer from Slurm yet)") + " (" +
                     counted(std::ssize(submission.tasks), "task") + ")";
  if (job.parts.empty()) return line + " is not known to Slurm";
  if (submission.kind == SubmissionKind::pack) return line + " " + words_of(job.parts.back());
  return line + (job.lives() ? words_of_living_array(job) : words_of_ended_array(job));
}

}  // namespace

std::vector<TaskStatus> task_statuses(const ExperimentPaths& experiment, const RunPaths& run,
                                      JobWatch& watch) {
  const Journaled journal = fold(read_journal(run.journal_folder()));
  const std::vector<ListedTask> listed = read_listed_tasks(run);
  const auto look = [&] {
    std::vector<TaskStatus> tasks;
    for (const ListedTask& task : listed)
      tasks.push_back(status_of(experiment, task, journal, watch.jobs(), watch.liveness_of()));
    add_cancels(read_cancels(run), tasks);
    add_needs(tasks);
    return tasks;
  };
  std::vector<TaskStatus> tasks = look();
  return watch.resolve_strangers() ? look() : tasks;
}

std::string counts_text(const std::vector<TaskStatus>& tasks) {
  std::string text;
  for (const char* state :
       {"done", "running", "starting", kElsewhere, "pending", "stopped", kInterrupted, "failed", "blocked"}) {
    const auto number = std::count_if(tasks.begin(), tasks.end(),
                                      [&](const TaskStatus& task) { return task.state == state; });
    if (number > 0) text += (text.empty() ? "" : ", ") + std::to_string(number) + " " + state;
  }
  return text;
}

std::vector<std::string> job_lines(const RunJobs& jobs) {
  std::vector<std::string> lines;
  for (const RunJob& job : jobs.jobs) {
    if (job.lives()) lines.push_back(line_of(job));
  }
  if (lines.empty() && !jobs.jobs.empty() && jobs.silence.empty()) lines.push_back(line_of(jobs.jobs.back()));
  if (!jobs.silence.empty() && !jobs.jobs.empty()) lines.push_back("Slurm does not tell: " + jobs.silence);
  return lines;
}

bool is_over(const std::vector<TaskStatus>& tasks, const RunJobs& jobs, bool driven) {
  const bool all_done =
      std::all_of(tasks.begin(), tasks.end(), [](const TaskStatus& task) { return task.state == "done"; });
  if (all_done) return true;
  const bool any_gang = std::any_of(tasks.begin(), tasks.end(), [](const TaskStatus& task) {
    return task.state == "running" || task.state == "starting" || task.state == kElsewhere;
  });
  return !driven && !any_gang && jobs.silence.empty() && !jobs.any_lives();
}

}  // namespace muster
