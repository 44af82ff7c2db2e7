#pragma once
/// A process named so that a reused pid is no mistake: host, pid, start time, boot id.

#include <string>

namespace muster {

struct ProcessIdentity {
  std::string host;
  std::string boot_id;  ///< /proc/sys/kernel/random/boot_id
  int pid = 0;
  unsigned long long start = 0;  ///< clock ticks since boot, /proc/PID/stat field 22
  std::string job;               ///< Slurm's, that it runs in; empty outside of one
  int job_restarts = 0;          ///< how often that job had been requeued

  bool operator==(const ProcessIdentity&) const = default;
};

enum class Liveness { alive, dead, unknown };  ///< unknown: it lives on another host, which must be asked

ProcessIdentity identity_of(int pid);  ///< start 0 where there is no such process
ProcessIdentity own_identity();        ///< with $SLURM_JOB_ID and $SLURM_RESTART_COUNT
/// A zombie is dead; so is every process of an earlier boot of this host.
Liveness liveness(const ProcessIdentity& process);

std::string identity_to_json(const ProcessIdentity& process);
ProcessIdentity identity_from_json(const std::string& text);

}  // namespace muster
