#pragma once
/// Drives a run to its end on what there is: this machine, or the Slurm job that this process runs in.

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/run_paths.hpp"
#include "launcher/allocation.hpp"
#include "launcher/launcher_claim.hpp"
#include "launcher/plan.hpp"
#include "slurm/batch_system.hpp"

namespace muster {

/// Where gangs run, and, inside a job, the batch system around it.
struct Place {
  std::optional<OwnJob> job;
  std::unique_ptr<BatchSystem> system;  ///< set inside a job
  LivenessOf liveness_of;
  std::unique_ptr<Allocation> allocation;
};

/// `cpus` or `gpus` given: this machine, whatever job there is. `capabilities`: what was found out about this
/// Slurm when the run was made; Slurm is asked where there is no such file.
Place find_place(std::optional<int> cpus, std::optional<int> gpus,
                 const std::filesystem::path& capabilities = {});

/// RunPaths's name for a launcher that drives this task alone: "task-7".
std::string part_of(int task);

struct DriveOptions {
  bool quiet = false;
  bool json = false;
  std::string part;  ///< part_of the task where this launcher drives that one alone
};

/// A run that this process holds.
struct RunToDrive {
  ExperimentPaths experiment;
  RunPaths paths;
  Plan plan;  ///< what is driven of it
  std::unique_ptr<LauncherClaim> claim;
  bool is_new = false;
};

/// Returns the exit code. What a job's time limit left undone goes back into the queue before it returns.
int drive_run(RunToDrive run, Place& place, const DriveOptions& options);

}  // namespace muster
