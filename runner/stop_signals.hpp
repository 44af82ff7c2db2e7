#pragma once
/// 'Save and stop' by signal.

namespace muster {

/// From here on SIGUSR1 and SIGTERM set a flag and do nothing else. First thing in main: before it, they
/// would kill.
void catch_stop_signals();

/// One of them has come.
bool stop_signalled();

/// Kills this process when the one that started it (mpirun, slurmstepd) dies.
void die_with_parent();

}  // namespace muster
