#pragma once
/// What the end of an attempt means for its task. Pure.

#include <optional>
#include <string>

#include "launcher/attempt_ledger.hpp"

namespace muster {

enum class Ending { done, stopped, failed };

struct Verdict {
  Ending ending = Ending::failed;
  int exit_code = 0;
  bool retry = false;          ///< of a failure: another attempt may end otherwise
  std::string reason;          ///< one line for a person
  bool never_started = false;  ///< of a failure: Slurm started nothing of the task
};

struct EndOfAttempt {
  bool is_exec = false;            ///< a command of the user's: only 0 and 75 mean what they mean to muster
  bool asked_to_stop = false;      ///< there is a stop file
  std::optional<ExitRecord> exit;  ///< none: the gang vanished
  std::string noted;               ///< what Slurm wrote into the log when it ended it: as state_noted_in
  std::optional<FailureRecord> failure;  ///< of the rank that speaks for the gang
};

/// Causes that a second try cannot change are never retried: configuration, data, divergence, a plugin,
/// checkpoints that cannot be read, resources, bugs. What came from outside (a signal, a lost process, a full
/// disk that may have been cleared) is. A gang that ends by a signal after it was asked to stop has stopped,
/// not failed; so has one whose job Slurm ends. What Slurm did not start (its controller is away, the job is
/// being requeued) says nothing of the task.
Verdict judge(const EndOfAttempt& end);

}  // namespace muster
