#include "slurm/capabilities.hpp"

#include <algorithm>

#include "core/error.hpp"
#include "slurm/command.hpp"

namespace muster {
namespace {

/// A controller that is busy or restarting answers within its own message time-out, 10 s by default.
constexpr std::chrono::seconds kProbeLimit{30};

CommandResult ask(const std::vector<std::string>& argv) {
  CommandResult result = run_command(argv, "", kProbeLimit);
  if (result.exit_code == 127) {
    throw Error(ExitCode::config, "there is no Slurm here (" + argv.front() + " is not in PATH)",
                "run on a login node of the cluster, or leave Slurm out with `muster run`");
  }
  return result;
}

std::string ask_controller(const std::vector<std::string>& argv) {
  CommandResult result = ask(argv);
  if (!result.ok()) {
    const std::string words = result.timed_out ? "no answer" : result.complaint();
    throw Error(ExitCode::resources, "Slurm's controller does not answer: " + words,
                "see whether `scontrol ping` finds it, then try again");
  }
  return std::move(result.out);
}

}  // namespace

bool SlurmCapabilities::has_pmix() const {
  return std::any_of(mpi.begin(), mpi.end(),
                     [](const std::string& type) { return type.starts_with("pmix"); });
}

bool SlurmCapabilities::packs_steps() const {
  return select_type.find("cons_tres") != std::string::npos ||
         select_type.find("cons_res") != std::string::npos;
}

bool SlurmCapabilities::binds_cpus() const { return task_plugin.find("affinity") != std::string::npos; }

const SlurmPartition* SlurmCapabilities::default_partition() const {
  const auto found = std::find_if(partitions.begin(), partitions.end(),
                                  [](const SlurmPartition& partition) { return partition.is_default; });
  return found == partitions.end() ? nullptr : &*found;
}

const SlurmPartition* SlurmCapabilities::partition(const std::string& name) const {
  const auto found = std::find_if(partitions.begin(), partitions.end(),
                                  [&](const SlurmPartition& partition) { return partition.name == name; });
  return found == partitions.end() ? nullptr : &*found;
}

SlurmCapabilities probe_slurm() {
  SlurmCapabilities capabilities;
  capabilities.version = parse_slurm_version(ask({"srun", "--version"}).out);
  const CommandResult mpi = ask({"srun", "--mpi=list"});
  capabilities.mpi = parse_mpi_list(mpi.out + "\n" + mpi.err);
  parse_slurm_config(ask_controller({"scontrol", "show", "config"}), capabilities);
  capabilities.partitions = parse_partitions(ask_controller({"scontrol", "-o", "-a", "show", "partition"}),
                                             ask_controller({"scontrol", "-o", "-a", "show", "node"}));
  if (capabilities.accounting) {
    capabilities.accounting =
        run_command({"sacct", "-X", "-n", "-P", "--starttime=now", "--format=JobID"}, "", kProbeLimit).ok();
  }
  return capabilities;
}

}  // namespace muster
