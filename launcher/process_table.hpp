#pragma once
/// Processes of this host, read from /proc.

#include <string>
#include <vector>

namespace muster {

/// All that descend from `pid`, zombies left out. A snapshot: a process may be gone or have forked since.
std::vector<int> descendants_of(int pid);

/// Processes of this user whose environment holds exactly `assignment` ("NAME=value"), zombies and this
/// process left out.
std::vector<int> processes_with_environment(const std::string& assignment);

/// SIGKILLs every process that has `assignment` in its environment until none is left; returns how many there
/// were. Throws Error(internal) where one of them will not die within ten seconds.
int end_processes_with_environment(const std::string& assignment);

}  // namespace muster
