#pragma once
/// Whether a claim's process lives, by this host's word or by Slurm's.

#include "launcher/launcher_claim.hpp"
#include "slurm/batch_system.hpp"

namespace muster {

/// Dead where the job is over, waits, or has been requeued since; alive where it runs.
Liveness liveness_in_job(const JobStatus& status, const ProcessIdentity& process);

/// A process of this host is looked for here. One of another host that ran in a job is dead once the job is
/// unknown, over, waits again, or has been requeued since; it lives while the job runs; where Slurm does not
/// answer, nobody knows. Slurm is asked once for all jobs, at most every 30 s. `system` may be null: then
/// what is elsewhere is unknown. It must outlive the function.
LivenessOf make_job_liveness(BatchSystem* system);

}  // namespace muster
