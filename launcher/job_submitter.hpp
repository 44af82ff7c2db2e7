#pragma once
/// Asks Slurm for the jobs of a run, so that none is asked for twice and none is lost.

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/run_paths.hpp"
#include "launcher/launcher_claim.hpp"
#include "launcher/submission.hpp"
#include "launcher/submission_plan.hpp"
#include "slurm/batch_system.hpp"

namespace muster {

/// Throws Error(busy) where a job of the run waits or runs, where another process is about to ask for one,
/// and where Slurm does not answer. One whose answer got lost is found first.
void require_no_living_job(const RunPaths& run, BatchSystem& system);

/// Throws Error(usage) for a job that Slurm does not know, which it would take for one that ended well, and
/// for one that did not end well, after which nothing would ever start.
void require_jobs_to_wait_for(const std::vector<std::string>& jobs, BatchSystem& system);

/// Fills what a plan leaves open: name, command, folders, dependencies.
struct JobFrame {
  std::string name;
  std::filesystem::path program;  ///< muster, absolute
  std::filesystem::path working_folder;
  std::vector<std::string> after;
};

/// The request as sbatch gets it, but for token and output, which come with the submission's number.
JobRequest framed(const PlannedSubmission& planned, const JobFrame& frame, const RunPaths& run);

/// All requests are on disk before the first goes out; then the claim is given up, for the job needs it.
/// Where Slurm refuses one, those before it are cancelled, and its words thrown: nothing is left queued.
/// Where it does not answer, what it took is not known, and Error(busy) says so: the next call looks for it.
std::vector<Submission> submit_all(const RunPaths& run, std::unique_ptr<LauncherClaim> claim,
                                   const std::vector<PlannedSubmission>& plans, const JobFrame& frame,
                                   const SlurmCapabilities& capabilities, BatchSystem& system);

}  // namespace muster
