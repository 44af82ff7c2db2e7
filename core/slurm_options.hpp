#pragma once
/// What an experiment, or the site, asks of Slurm for its jobs: plain data.

#include <map>
#include <string>
#include <vector>

namespace muster {

/// `[slurm]` of an experiment file, laid over the site's defaults. Empty or 0: not given.
struct SlurmOptions {
  std::string partition, account, qos, constraint, reservation, container;
  std::string gpu_type;
  std::string mem;          ///< a node's, as sbatch takes it: "32G"
  std::string mem_per_cpu;  ///< as sbatch takes it
  std::string time;         ///< as sbatch takes it: "02:00:00"
  std::string mail_user, mail_type;
  std::vector<std::string> modules;  ///< loaded before muster starts
  std::string prologue;              ///< a shell file that is sourced before muster starts
  std::string exclude;               ///< nodes
  int nodes = 0;                     ///< of one packed allocation
  int array_throttle = 0;            ///< tasks of an array at once
  bool requeue = true;
  std::map<std::string, std::string>
      sbatch;  ///< any other long option of sbatch, verbatim; "" is a bare flag
};

}  // namespace muster
