#pragma once
/// A task as the launcher that drives a run sees it.

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "core/journal.hpp"
#include "core/process_identity.hpp"
#include "core/run_paths.hpp"
#include "core/task.hpp"
#include "launcher/gang_progress.hpp"
#include "launcher/line_follower.hpp"
#include "launcher/packer.hpp"
#include "launcher/plan.hpp"
#include "launcher/stop_signals.hpp"

namespace muster {

enum class TaskPhase {
  unsettled,  ///< its folder must be looked at
  waiting,    ///< for slots, or for tasks that it needs
  active,     ///< a gang of this run's: started, or taken over from an earlier launcher of the run
  followed,   ///< another launcher's business; its files are watched
  over,       ///< nothing more happens to it in this launcher
};

/// What is read of the gang that works on a task.
struct FollowedGang {
  explicit FollowedGang(const AttemptPaths& attempt) : log(attempt.log()), progress(attempt.events()) {}
  LineFollower log;
  GangProgress progress;
  long lines_to_skip = 0;       ///< an earlier launcher put them into run.log
  std::int64_t shown_step = 0;  ///< of the last plain progress line
};

struct SupervisedTask {
  int number = 0;
  std::string name;  ///< "task-0-LABEL"
  Task task;
  TaskPaths paths{std::filesystem::path()};
  TaskPhase phase = TaskPhase::unsettled;
  TaskState state = TaskState::pending;
  int attempt = 0;        ///< the newest, 0: none
  int failures = 0;       ///< that this launcher saw or found
  bool adopted = false;   ///< the gang was started by an earlier launcher
  bool was_done = false;  ///< before this launcher came
  bool has_needs = true;  ///< what it needs of other tasks is done; false while it is not
  double first_gain = 0;  ///< as seconds_to_first_gain; asked when it comes to wait
  std::string reason;     ///< of the last end, or whose business it is
  std::string journaled;  ///< state of the newest attempt that the run's journal knew when this launcher came
  int journaled_attempt = 0;
  std::optional<Assignment> assignment;
  std::optional<ProcessIdentity> claimant;
  std::shared_ptr<FollowedGang> gang;
  bool came_up = true;  ///< its newest start holds up no others
  std::optional<std::chrono::steady_clock::time_point> asked_to_stop;
  std::optional<std::chrono::steady_clock::time_point> listens_since;
  bool signalled_to_stop = false;
  bool told_to_end = false;
  /// Not none: it ends while others go on, and does not begin again; so does what needs it.
  StopSignals::Request cancelled = StopSignals::Request::none;
  /// Slurm starts nothing of it since then; the next try is due at not_before.
  std::optional<std::chrono::steady_clock::time_point> refused_since, not_before;

  /// What Slurm does not start (its controller restarts, the job is being requeued) is tried again so often,
  /// for ten minutes.
  static constexpr std::chrono::seconds kRefusedWait{10};
  /// Of one that Slurm refused to start.
  bool may_wait_for_slurm();

  /// Every rank catches the signal that asks it to stop. A command speaks for itself.
  bool gang_listens() const {
    return task.workload == "exec" || (gang && !gang->progress.last_event().empty());
  }
  /// It saves its last, or has: a signal would come while mpirun ends, and be its death.
  bool gang_is_stopping() const {
    const std::string event = gang ? gang->progress.last_event() : "";
    return event == "stopping" || event == "stopped" || event == "finished";
  }
};

/// A task that nothing is known of yet.
SupervisedTask supervised(const PlannedTask& planned, const ExperimentPaths& experiment);

}  // namespace muster
