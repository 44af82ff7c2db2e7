/// What the end of an attempt leads to.

#include <filesystem>
#include <utility>

#include "core/counted.hpp"
#include "core/error.hpp"
#include "core/file_end.hpp"
#include "launcher/supervisor.hpp"
#include "launcher/task_outputs.hpp"
#include "results/metric_sink.hpp"
#include "slurm/output_notes.hpp"

namespace muster {

void Supervisor::finish(SupervisedTask& task, const AttemptView& view) {
  clear_away(task, view);
  if (task.assignment) packer_.release(*task.assignment, task.task.resources.exclusive);
  task.assignment.reset();
  link_outputs(task.paths, task.attempt);

  const AttemptPaths attempt(task.paths.attempt(view.number));
  EndOfAttempt end;
  end.is_exec = task.task.workload == "exec";
  end.asked_to_stop = std::filesystem::exists(attempt.stop_request());
  end.exit = view.exit;
  end.failure = leading_failure(attempt, view.exit ? view.exit->exit_code : 0);
  if (view.order && view.order->ranks_report)
    end.noted = state_noted_in(read_end(attempt.log(), kNotesWithin));
  const Verdict verdict = judge(end);
  task.reason = verdict.reason;
  judge_hosts(task, view, verdict);
  switch (verdict.ending) {
    case Ending::done: {
      const double seconds = seconds_of_attempts(task.paths);
      record(task, task.attempt, TaskState::done);
      announced_.push_back([paths = task.paths, id = task.task.id, attempt = task.attempt, seconds] {
        write_done(paths, id, attempt, seconds);
      });
      log_.note(task.name + " is done after " + duration_text(seconds));
      enter(task, TaskPhase::over, TaskState::done);
      break;
    }
    case Ending::stopped:
      record(task, task.attempt, TaskState::stopped, verdict.exit_code, verdict.reason);
      log_.note(task.name + ": " + verdict.reason);
      // What an earlier launcher asked for was answered by running again.
      if (task.adopted && !task.asked_to_stop) {
        enter(task, TaskPhase::waiting, TaskState::pending);
      } else {
        enter(task, TaskPhase::over, TaskState::stopped);
      }
      break;
    case Ending::failed:
      conclude_failure(task, verdict);
      break;
  }
}

void Supervisor::judge_hosts(const SupervisedTask& task, const AttemptView& view, const Verdict& verdict) {
  const auto host = health_.host_to_give_up(task.name, view, verdict);
  if (!host || !give_up(*host)) return;
  JournalEntry entry;
  entry.host = *host;
  entry.reason = "has lost two tasks and finished none since: nothing more goes there";
  journal_.put(entry);
  log_.note("host " + entry.host + " " + entry.reason);
}

bool Supervisor::give_up(const std::string& host) {
  std::vector<Packer::Waiting> left;
  for (const SupervisedTask& task : tasks_) {
    if (task.phase != TaskPhase::over) left.push_back({task.name, task.task.resources});
  }
  return packer_.exclude(host, left);
}

void Supervisor::avoid(const std::set<std::string>& hosts) {
  for (const std::string& host : hosts) {
    if (give_up(host)) log_.note("host " + host + " lost two tasks of this run before: nothing goes there");
  }
}

void Supervisor::conclude_failure(SupervisedTask& task, const Verdict& verdict) {
  task.reason = verdict.reason;
  if (verdict.never_started && task.may_wait_for_slurm()) {
    record(task, task.attempt, TaskState::failed, verdict.exit_code, verdict.reason);
    record(task, task.attempt + 1, TaskState::pending, 0, "tried again once Slurm may answer");
    log_.note(task.name + ": " + verdict.reason + "; trying again in " +
              std::to_string(SupervisedTask::kRefusedWait.count()) + " s");
    enter(task, TaskPhase::waiting, TaskState::pending);
    return;
  }
  if (!verdict.never_started) task.refused_since.reset();
  ++task.failures;
  record(task, task.attempt, TaskState::failed, verdict.exit_code, verdict.reason);
  const std::string what =
      task.name + ": attempt " + std::to_string(task.attempt) + " failed: " + verdict.reason;
  if (verdict.retry && task.failures < task.task.policy.max_attempts) {
    log_.note(what + "; trying again (failure " + std::to_string(task.failures) + " of at most " +
              std::to_string(task.task.policy.max_attempts) + ")");
    record(task, task.attempt + 1, TaskState::pending, 0, "tried again after a failure");
    enter(task, TaskPhase::waiting, TaskState::pending);
  } else {
    log_.note(what);
    enter(task, TaskPhase::over, TaskState::failed);
  }
}

void Supervisor::clear_away(SupervisedTask& task, const AttemptView& view) {
  const bool lost_ranks = view.exit && view.exit->lost_ranks;
  if ((view.phase == AttemptPhase::vanished || task.told_to_end || lost_ranks) && view.order) {
    const int ended = allocation_.end_leftovers(*view.order);
    if (ended > 0) {
      log_.note(task.name + ": ended " + counted(ended, "process") + " that attempt " +
                std::to_string(view.number) + " left behind");
    }
  }
  // Ranks of a job may still run on a node that Slurm has given up: till a later claim fences them off their
  // file is theirs, and the next attempt mends it.
  if (lost_ranks || (view.phase == AttemptPhase::vanished && view.claimant && !view.claimant->job.empty()))
    return;
  const AttemptPaths attempt(task.paths.attempt(view.number));
  if (!std::filesystem::exists(attempt.metrics_h5())) return;
  try {
    mend_metrics(attempt.metrics_h5());
  } catch (const Error& error) {
    // Rows of one attempt are lost to readers; the checkpoints still stand, and so does the task.
    log_.note(task.name + ": " + error.what());
  }
}

}  // namespace muster
