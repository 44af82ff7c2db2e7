#pragma once
/// A task's attempts as the files tell them: who works on the task, how earlier tries ended. Shared by every
/// launcher.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/process_identity.hpp"
#include "core/run_paths.hpp"
#include "launcher/exit_record.hpp"
#include "launcher/gang_order.hpp"
#include "launcher/launcher_claim.hpp"

namespace muster {

/// failure-R.json: why a rank gave up.
struct FailureRecord {
  int code = 0;  ///< an ExitCode
  std::string problem;
  std::string advice;
  int rank = 0;
  std::string host;
};

enum class AttemptPhase {
  none,       ///< the task was never tried
  coming_up,  ///< its launcher lives, its shim has not claimed it yet
  abandoned,  ///< no claim, and its launcher is gone: must be voided before the next attempt
  running,    ///< its shim lives
  elsewhere,  ///< claimed on another host that cannot be asked from here
  vanished,   ///< its shim is gone without an exit record
  voided,     ///< fenced off before anything started
  ended,      ///< there is an exit record
};

/// One attempt, by what its files say now.
struct AttemptView {
  int number = 0;
  AttemptPhase phase = AttemptPhase::none;
  std::optional<GangOrder> order;
  std::optional<ProcessIdentity> claimant;  ///< the shim
  std::optional<ExitRecord> exit;
};

/// Highest number among claims and attempt folders; 0 where there is none.
int highest_attempt(const TaskPaths& task);

/// Throws Error(storage) where a file is damaged.
AttemptView view_attempt(const TaskPaths& task, int attempt, const LivenessOf& liveness_of);
AttemptView newest_attempt(const TaskPaths& task, const LivenessOf& liveness_of);

/// Makes the attempt's folder, whole with its gang.json, in one step. False where the number is taken.
/// Throws Error(storage) and leaves nothing.
bool open_attempt(const TaskPaths& task, int attempt, const GangOrder& order);

/// Claims an abandoned attempt for nobody, so that its shim, should it still come up, starts nothing. False
/// where the shim was faster. Throws Error(storage).
bool void_attempt(const TaskPaths& task, int attempt);

/// Of the rank that speaks for the gang: the lowest whose code is `exit_code`, else the lowest.
std::optional<FailureRecord> leading_failure(const AttemptPaths& attempt, int exit_code);

/// What an earlier attempt of the task needed from its start till something of it was kept: its first
/// checkpoint, or its end where it ended well. 0: nothing is known.
double seconds_to_first_gain(const TaskPaths& task);

/// Seconds that all attempts took, as far as they left a record.
double seconds_of_attempts(const TaskPaths& task);

}  // namespace muster
