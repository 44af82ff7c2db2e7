#pragma once
/// This machine as an allocation: the CPUs this process may use, the GPUs that are there, gangs under
/// muster-shim.

#include <filesystem>
#include <map>
#include <optional>

#include "launcher/allocation.hpp"
#include "launcher/gang_plan.hpp"

namespace muster {

/// What of this machine this process may use. `cpus`: at most so many; `gpus`: so many are there, looked for
/// (NVML, or CUDA_VISIBLE_DEVICES where it is set) where not given.
Slots local_slots(std::optional<int> cpus, std::optional<int> gpus);

struct LocalAllocationOptions {
  Slots slots;
  std::filesystem::path program_folder;  ///< where muster-shim and muster-runner lie
  std::filesystem::path working_folder;  ///< of gangs
};

/// Gangs are children of this process till it ends. SIGCHLD must not be ignored.
class LocalAllocation : public Allocation {
 public:
  explicit LocalAllocation(LocalAllocationOptions options);

  const GangPrograms& programs() const { return programs_; }

  const std::vector<Slots>& slots() const override { return slots_; }
  std::optional<double> deadline() const override { return std::nullopt; }
  void check(const Task& task) const override;
  GangOrder order(const Task& task, const TaskPaths& paths, int attempt,
                  const Assignment& assignment) const override;
  void start(const AttemptPaths& attempt) override;
  bool came_up(const Task&, const AttemptPaths&) const override { return true; }
  std::optional<int> failed_start(const AttemptPaths& attempt) override;
  std::optional<bool> shim_lives(const AttemptPaths& attempt) override;
  Liveness alive(const ProcessIdentity& claim) const override;
  void ask_to_stop(const ProcessIdentity& claim) override;
  void end(const ProcessIdentity& claim) override;
  int end_leftovers(const GangOrder& order) override;

 private:
  using Shims = std::map<std::string, int>;
  /// Notes how it ended where it has; returns whether it lives.
  bool look_after(Shims::iterator shim);

  LocalAllocationOptions options_;
  std::vector<Slots> slots_;  ///< of the one host
  GangPrograms programs_;
  Shims shims_;                              ///< attempt folder -> pid, till reaped
  std::map<std::string, int> exited_shims_;  ///< attempt folder -> exit code
};

}  // namespace muster
