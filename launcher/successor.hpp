#pragma once
/// What a job's time limit left undone goes on in another job.

#include <string>

#include "core/run_paths.hpp"
#include "slurm/batch_system.hpp"

namespace muster {

/// Puts this process's own job back into the queue; where the site or the job does not allow that, submits
/// what is left anew, if the job came from `muster submit`. Returns a line that says what was done, and how
/// it goes on by hand where nothing could be done. A job that goes back is ended by Slurm soon after:
/// everything must be on disk, and the run's claim given up.
std::string go_on_in_another_job(const RunPaths& run, const OwnJob& job, BatchSystem& system);

}  // namespace muster
