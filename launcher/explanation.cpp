#include "launcher/explanation.hpp"

#include <set>

#include "core/counted.hpp"
#include "core/file_end.hpp"
#include "core/journal.hpp"
#include "launcher/attempt_ledger.hpp"
#include "launcher/gang_progress.hpp"
#include "launcher/submission_report.hpp"
#include "launcher/tasks_text.hpp"
#include "slurm/output_notes.hpp"

namespace muster {

namespace {

constexpr const char* kNeverStartsAdvice =
    "end it with 'muster cancel', change [slurm] or what it depends on, and submit again";

bool is_state(const TaskStatus& task, TaskState state) { return task.state == to_string(state); }

std::string name_of_job(const RunJob& job) {
  return (job.submission.kind == SubmissionKind::array ? "array " : "job ") +
         job.submission.job.value_or("(no answer from Slurm yet)");
}

/// Of a task that no gang works on, and that was begun at most in an earlier job.
Explanation explain_waiting(const TaskStatus& task, const RunJob* job, int running, bool driven,
                            const AheadOf& ahead_of) {
  const std::string before = is_state(task, TaskState::pending) ? "was not begun" : "did not end";
  if (job == nullptr) {
    if (driven) return {"waits for room: " + counted(running, "task") + " of the run are at work", ""};
    return {before + ": no job was asked for it, and no launcher drives the run",
            "'muster submit FILE' or 'muster run FILE' goes on"};
  }
  if (!job->submission.job)
    return {before + ": Slurm has not answered yet whether it took its job",
            "'muster submit FILE' looks for it"};
  const std::string name = name_of_job(*job);
  if (!task.job_status) return {before + ": " + name + " is over", "'muster submit FILE' goes on"};
  const JobStatus& status = *task.job_status;
  const std::string words = words_of_job(*job, status, ahead_of);
  switch (phase_of(status.state)) {
    case JobPhase::pending:
      return {"waits: " + name + " " + words, never_starts(status) ? kNeverStartsAdvice : ""};
    case JobPhase::running:
      if (job->submission.kind == SubmissionKind::array) return {"is about to begin: its job " + words, ""};
      return {"waits for room in " + name + ", where " + counted(running, "task") +
                  (running == 1 ? " is" : " are") + " at work",
              ""};
    case JobPhase::completing:
    case JobPhase::unknown:
      return {before + ": " + name + " " + words, ""};
    case JobPhase::ended:
      break;
  }
  const bool failed = end_of(status.state) == JobEnd::failed;
  return {before + ": " + name + " " + words,
          (failed ? "what its script printed is in " +
                        output_of(job->submission, task.listed.number).string() + "; "
                  : "") +
              "'muster submit FILE' goes on"};
}

/// Of a task that needs others which are not done.
Explanation explain_needs(const TaskStatus& task, const RunJob* job, bool driven, const AheadOf& ahead_of) {
  const std::string why = "waits for " + tasks_text(task.waits_for);
  const JobPhase phase = task.job_status ? phase_of(task.job_status->state) : JobPhase::ended;
  if (job != nullptr && phase == JobPhase::pending)
    return {why + ": " + name_of_job(*job) + " " + words_of_job(*job, *task.job_status, ahead_of),
            never_starts(*task.job_status) ? kNeverStartsAdvice : ""};
  if (driven || phase != JobPhase::ended) return {why, ""};
  const bool cancelled = task.job_status && end_of(task.job_status->state) == JobEnd::cancelled;
  return {why + (cancelled ? "; " + name_of_job(*job) + " " + words_of(*task.job_status)
                           : ", and nothing drives the run"),
          "'muster submit FILE' or 'muster run FILE' goes on"};
}

Explanation explain_blocked(const TaskStatus& task) {
  std::string why = "is blocked: it " + task.detail;
  if (task.job_status && end_of(task.job_status->state) == JobEnd::cancelled)
    why += "; its job " + task.job + " " + words_of(*task.job_status);
  return {why, "'muster submit FILE' or 'muster run FILE' tries what failed again, and goes on with this"};
}

std::string advice_after(const TaskStatus& task) {
  if (!task.job_status) return "";
  switch (end_of(task.job_status->state)) {
    case JobEnd::out_of_memory:
      return "ask for more memory: mem under [slurm]";
    case JobEnd::timeout:
      return "'muster submit FILE' goes on from its newest checkpoint; time under [slurm] gives it longer";
    case JobEnd::node_failure:
      return "'muster submit FILE' goes on; exclude under [slurm] leaves a node out that fails again";
    default:
      return "";
  }
}

std::string reason_of(const std::vector<JournalEntry>& entries, int attempt) {
  std::string reason;
  for (const JournalEntry& entry : entries) {
    if (entry.attempt == attempt && entry.state >= TaskState::stopped) {
      reason = entry.reason.empty() ? to_string(entry.state) : entry.reason;
    }
  }
  return reason;
}

AttemptStory story_of(const TaskPaths& task, int number, const std::vector<JournalEntry>& entries) {
  const AttemptView view = view_attempt(task, number, liveness);
  AttemptStory story;
  story.number = number;
  if (view.claimant) story.job = view.claimant->job;
  std::set<std::string> hosts;
  if (view.order) {
    for (const RankPlace& rank : view.order->ranks) {
      const std::string host = rank.host.empty() && view.claimant ? view.claimant->host : rank.host;
      if (!host.empty() && hosts.insert(host).second) story.hosts.push_back(host);
      story.gpu_count += static_cast<int>(rank.gpus.size());
      if (story.job.empty()) story.gpus.insert(story.gpus.end(), rank.gpus.begin(), rank.gpus.end());
    }
  }
  if (view.exit) story.seconds = view.exit->ended - view.exit->started;
  story.end = reason_of(entries, number);
  if (story.end.empty() && view.exit)
    story.end = view.exit->signal != 0 ? "ended by signal " + std::to_string(view.exit->signal)
                                       : "exit code " + std::to_string(view.exit->exit_code);
  if (story.end.empty() && view.phase == AttemptPhase::voided) story.end = "was never begun";
  if (story.end.empty() && view.phase == AttemptPhase::vanished) story.end = "its gang is gone";
  return story;
}

}  // namespace

std::vector<AttemptStory> attempts_of(const TaskPaths& task, const RunPaths& run, const std::string& folder) {
  std::vector<JournalEntry> own;
  for (const JournalEntry& entry : read_journal(run.journal_folder())) {
    if (entry.task == folder) own.push_back(entry);
  }
  std::vector<AttemptStory> stories;
  for (int number = 1; number <= highest_attempt(task); ++number) {
    stories.push_back(story_of(task, number, own));
  }
  return stories;
}

std::string words_of_job(const RunJob& job, const JobStatus& status, const AheadOf& ahead_of) {
  std::string words = words_of(status);
  if (phase_of(status.state) == JobPhase::pending &&
      (status.reason.empty() || status.reason == "Resources" || status.reason == "Priority")) {
    words = "waits for " + size_text(job.submission.request);
    const auto ahead = ahead_of(status);
    if (ahead) words += *ahead == 0 ? "; it is the next" : "; " + counted(*ahead, "job") + " ahead";
  }
  if (status.restarts == 0) return words;
  words += " (it was put back into the queue " + counted(status.restarts, "time");
  const bool in_array = job.submission.kind == SubmissionKind::array;
  const int task = job.submission.first + (in_array ? std::atoi(status.array_task.c_str()) : 0);
  JobStatus before;
  before.state = state_noted_in(read_end(output_of(job.submission, task), kNotesWithin));
  // "Cancelled" says no more than that.
  if (!before.state.empty() && end_of(before.state) != JobEnd::cancelled)
    words += "; before that it " + words_of(before);
  return words + ")";
}

Explanation explain(const TaskStatus& task, const RunJobs& jobs, int running, bool driven,
                    const AheadOf& ahead_of) {
  const RunJob* job = jobs.job_of(task.listed.number);
  const std::string logs = "see 'muster logs task-" + std::to_string(task.listed.number) + "'";
  if (is_state(task, TaskState::done)) return {"is done, after " + duration_text(task.seconds), ""};
  if (is_state(task, TaskState::running) || is_state(task, TaskState::starting))
    return {"is " + task.state + (task.detail.empty() ? "" : ": " + task.detail), ""};
  if (task.state == "elsewhere")
    return {"was claimed on a host that cannot be asked from here: " + task.detail,
            "look again once Slurm answers, or on that host"};
  if (is_state(task, TaskState::blocked)) return explain_blocked(task);
  if (!task.waits_for.empty()) return explain_needs(task, job, driven, ahead_of);
  if (is_state(task, TaskState::pending)) return explain_waiting(task, job, running, driven, ahead_of);
  std::string why = is_state(task, TaskState::failed)    ? "failed"
                    : is_state(task, TaskState::stopped) ? "was stopped"
                                                         : "was interrupted: its gang is gone";
  const bool waits_again = task.job_status && phase_of(task.job_status->state) != JobPhase::ended;
  // Of one that waits again the detail may be just that.
  const bool says_more = !task.detail.empty() && !(waits_again && task.detail == words_of(*task.job_status));
  if (says_more) why += ": " + task.detail;
  if (waits_again && !is_state(task, TaskState::failed)) {
    const Explanation next = explain_waiting(task, job, running, driven, ahead_of);
    return {why + "; it " + next.why, next.advice};
  }
  std::string advice = advice_after(task);
  if (advice.empty())
    advice = is_state(task, TaskState::failed)
                 ? logs + "; 'muster submit FILE' or 'muster run FILE' tries it again"
                 : "'muster submit FILE' or 'muster run FILE' goes on";
  return {why, advice};
}

}  // namespace muster
