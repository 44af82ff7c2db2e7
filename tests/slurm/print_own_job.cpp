/// Prints what own_job() finds, a word a line: id, array's job and task, restarts, whether there is an end,
/// then HOST:CPUS:GPUS.

#include <cstdio>

#include "slurm/batch_system.hpp"

int main() {
  const auto job = muster::own_job();
  if (!job) return 1;
  std::printf("%s\n%s\n%s\n%d\n%s\n", job->id.c_str(), job->array_job.c_str(), job->array_task.c_str(),
              job->restarts, job->end ? "ends" : "endless");
  for (const muster::JobHost& host : job->hosts)
    std::printf("%s:%d:%d\n", host.name.c_str(), host.cpus, host.gpus);
}
