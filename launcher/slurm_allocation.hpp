#pragma once
/// The Slurm job that this process runs in: gangs are steps of it, on any of its hosts, each under a shim
/// beside this process.

#include <memory>

#include "launcher/job_liveness.hpp"
#include "launcher/local_allocation.hpp"
#include "slurm/batch_system.hpp"
#include "slurm/capabilities.hpp"

namespace muster {

struct SlurmAllocationOptions {
  OwnJob job;
  SlurmCapabilities capabilities;
  LivenessOf liveness_of;
  std::filesystem::path program_folder;
  std::filesystem::path working_folder;
};

/// The packer chooses the hosts; which CPUs and GPUs of a host a step gets, Slurm decides, and gives none
/// twice.
class SlurmAllocation : public Allocation {
 public:
  explicit SlurmAllocation(SlurmAllocationOptions options);

  const std::vector<Slots>& slots() const override { return slots_; }
  std::optional<double> deadline() const override;
  void check(const Task& task) const override;
  GangOrder order(const Task& task, const TaskPaths& paths, int attempt,
                  const Assignment& assignment) const override;
  void start(const AttemptPaths& attempt) override { shims_.start(attempt); }
  bool came_up(const Task& task, const AttemptPaths& attempt) const override;
  std::optional<int> failed_start(const AttemptPaths& attempt) override {
    return shims_.failed_start(attempt);
  }
  std::optional<bool> shim_lives(const AttemptPaths& attempt) override { return shims_.shim_lives(attempt); }
  Liveness alive(const ProcessIdentity& claim) const override { return options_.liveness_of(claim); }
  void ask_to_stop(const ProcessIdentity& claim) override { shims_.ask_to_stop(claim); }
  void end(const ProcessIdentity& claim) override { shims_.end(claim); }
  int end_leftovers(const GangOrder& order) override;

 private:
  bool by_srun(const Task& task) const;

  SlurmAllocationOptions options_;
  LocalAllocation shims_;
  std::vector<Slots> slots_;
};

/// What the hosts of a job have. CPUs and GPUs are counted, not named: Slurm names them.
std::vector<Slots> slots_of(const OwnJob& job);

}  // namespace muster
