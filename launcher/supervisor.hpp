#pragma once
/// Drives a run: starts gangs as slots come free, follows them, judges their ends, tries again, stops them on
/// request. All it knows is in files: a launcher that is killed at any moment loses nothing, and the next one
/// goes on.

#include <chrono>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/journal.hpp"
#include "launcher/allocation.hpp"
#include "launcher/attempt_ledger.hpp"
#include "launcher/host_health.hpp"
#include "launcher/packer.hpp"
#include "launcher/plan.hpp"
#include "launcher/run_log.hpp"
#include "launcher/stop_signals.hpp"
#include "launcher/supervised_task.hpp"
#include "launcher/task_cancels.hpp"
#include "launcher/task_needs.hpp"
#include "launcher/verdict.hpp"

namespace muster {

/// Not thread-safe. Everything handed in must outlive it. Only the launcher that holds the run's claim makes
/// one.
class Supervisor {
 public:
  Supervisor(const ExperimentPaths& experiment, const Plan& plan,
             const std::map<std::string, JournalEntry>& known, Journal& journal, RunLog& log,
             Allocation& allocation);

  /// Finds out how every task stands, without starting anything. Before the first tick.
  void look();

  /// Starts nothing there that has room elsewhere. After look().
  void avoid(const std::set<std::string>& hosts);

  /// Looks at every task once and does what is due. Returns true where a task's state changed. Throws
  /// Error(storage) where results cannot be written; gangs that run go on, and the next launcher finds them.
  bool tick(StopSignals::Request request);

  /// Nothing is left to do: all tasks are over, or, once a stop was requested, no gang of this run is left.
  bool finished(StopSignals::Request request) const;

  /// Tasks wait, nothing runs, and none of them would get anywhere before the allocation ends.
  bool out_of_time() const;

  /// These end while the others go on; one that waits does not begin.
  void cancel(const TaskCancels& cancels);

  /// Another launcher took this one for dead and drives the run: ends the gangs of this one and touches
  /// nothing else. They are fenced off already.
  void abandon();

  const std::vector<SupervisedTask>& tasks() const { return tasks_; }

 private:
  void settle(SupervisedTask& task);
  void settle_ended(SupervisedTask& task, const AttemptView& view);
  void adopt(SupervisedTask& task, const AttemptView& view);
  void follow_other(SupervisedTask& task, const AttemptView& view);
  void watch(SupervisedTask& task);
  void watch_coming_up(SupervisedTask& task);
  void look_at_needs();
  void start_waiting();
  std::size_t room_for_starts();
  bool has_time_for(const SupervisedTask& task) const;
  void start(SupervisedTask& task, const Assignment& assignment);
  void stop(SupervisedTask& task, StopSignals::Request request);
  void finish(SupervisedTask& task, const AttemptView& view);
  void judge_hosts(const SupervisedTask& task, const AttemptView& view, const Verdict& verdict);
  /// False where something that is left has room nowhere else.
  bool give_up(const std::string& host);
  void conclude_failure(SupervisedTask& task, const Verdict& verdict);
  void clear_away(SupervisedTask& task, const AttemptView& view);

  void begin_following(SupervisedTask& task);
  void pass_on_lines(SupervisedTask& task, bool gang_ended);
  void enter(SupervisedTask& task, TaskPhase phase, TaskState state);
  void record(const SupervisedTask& task, int attempt, TaskState state, int exit_code = 0,
              const std::string& reason = "");
  /// What was put into the journal goes to disk, once for all; then what it announces is done.
  void carry_out();
  bool is_anothers(const AttemptView& view) const;
  AttemptView view_of(const SupervisedTask& task) const;

  Journal& journal_;
  RunLog& log_;
  Allocation& allocation_;
  Packer packer_;
  TaskNeeds needs_;
  HostHealth health_;
  std::vector<SupervisedTask> tasks_;
  std::chrono::steady_clock::time_point next_look_at_others_{};
  std::chrono::steady_clock::time_point next_look_at_lines_{};
  bool look_at_lines_ = true;
  bool changed_ = false;
  bool started_any_ = false;
  std::map<std::string, double> gains_;  ///< by stage, the first first_gain known of a task that is over
  std::vector<std::function<void()>> announced_;
};

}  // namespace muster
