#include "launcher/verdict.hpp"

#include <csignal>
#include <cstring>

#include "core/error.hpp"

namespace muster {

namespace {

constexpr int kCannotExecute = 126;
constexpr int kCommandNotFound = 127;
constexpr int kSignalBase = 128;

/// Exit codes of muster-runner that a second try cannot change. Storage can: space may have been made.
bool is_final(int exit_code) {
  switch (static_cast<ExitCode>(exit_code)) {
    case ExitCode::usage:
    case ExitCode::config:
    case ExitCode::data:
    case ExitCode::resources:
    case ExitCode::workload:
    case ExitCode::diverged:
    case ExitCode::checkpoint:
    case ExitCode::internal:
      return true;
    default:
      return false;
  }
}

/// 0 where no signal ended it; mpirun reports a rank's signal as a shell does.
int signal_of(const ExitRecord& exit) {
  if (exit.signal != 0) return exit.signal;
  const int signal = exit.exit_code - kSignalBase;
  return signal > 0 && signal < NSIG ? signal : 0;
}

std::string ending_text(int exit_code, int signal) {
  if (signal == 0) return "exit code " + std::to_string(exit_code);
  return "ended by signal " + std::to_string(signal) + " (" + strsignal(signal) + ")";
}

}  // namespace

Verdict judge(const EndOfAttempt& end) {
  if (!end.exit) {
    if (end.asked_to_stop) return {Ending::stopped, 0, false, "was told to stop, and left no exit record"};
    return {Ending::failed, kSignalBase + SIGKILL, true,
            "its gang vanished without an exit record: muster-shim was killed, or the machine restarted"};
  }
  const int code = end.exit->exit_code;
  if (end.exit->never_started && !end.asked_to_stop)
    return {Ending::failed, code, true, "Slurm did not start it: log.txt has srun's words", true};
  if (code != 0 && code != static_cast<int>(ExitCode::stopped)) {
    if (end.noted == "PREEMPTED") return {Ending::stopped, code, false, "preempted, without saving"};
    if (end.noted == "TIMEOUT")
      return {Ending::stopped, code, false, "ran into its job's time limit, without saving"};
    if (end.noted == "OUT_OF_MEMORY")
      return {Ending::failed, code, true,
              "took more memory than its job has: ask for more (mem under [slurm]), or use less"};
  }
  if (end.exit->lost_ranks) {
    if (end.asked_to_stop)
      return {Ending::stopped, code, false, "was told to stop, and Slurm lost ranks of it"};
    return {Ending::failed, code, true,
            "Slurm could not start all of its ranks, or lost the node of one: log.txt has srun's words"};
  }
  if (code == 0) return {Ending::done, 0, false, ""};
  if (code == static_cast<int>(ExitCode::stopped)) return {Ending::stopped, code, false, "saved and stopped"};
  const int signal = signal_of(*end.exit);
  const bool cause_stays = end.failure && is_final(end.failure->code);
  if (end.asked_to_stop && !cause_stays) {
    return {Ending::stopped, code, false, "stopped without saving, " + ending_text(code, signal)};
  }
  if (end.failure) {
    std::string reason = "rank " + std::to_string(end.failure->rank) + ": " + end.failure->problem;
    if (!end.failure->advice.empty()) reason += "; " + end.failure->advice;
    return {Ending::failed, code, !is_final(end.failure->code), reason};
  }
  if (signal != 0) {
    const char* memory = signal == SIGKILL ? "; the kernel does that when memory runs out, see 'dmesg'" : "";
    return {Ending::failed, code, true, ending_text(code, signal) + memory};
  }
  if (end.is_exec) {
    const bool not_started = code == kCommandNotFound || code == kCannotExecute;
    return {
        Ending::failed, code, !not_started,
        not_started ? "its command could not be started" : "its command returned " + std::to_string(code)};
  }
  return {Ending::failed, code, !is_final(code), "muster-runner returned " + std::to_string(code)};
}

}  // namespace muster
