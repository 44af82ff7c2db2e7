#pragma once
/// What the launcher may use, and how gangs are started and reached there: this machine, or a Slurm job.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/process_identity.hpp"
#include "core/run_paths.hpp"
#include "core/task.hpp"
#include "launcher/gang_order.hpp"
#include "launcher/packer.hpp"

namespace muster {

/// Not thread-safe. A gang is named by its claim from the moment that it has one.
class Allocation {
 public:
  virtual ~Allocation() = default;

  virtual const std::vector<Slots>& slots() const = 0;

  /// Unix seconds when it ends; nullopt: it does not.
  virtual std::optional<double> deadline() const = 0;

  /// Throws Error(config) where a program that a gang of `task` needs is missing here.
  virtual void check(const Task& task) const = 0;

  /// What a gang of this task is to be; the caller writes it as the attempt's gang.json.
  virtual GangOrder order(const Task& task, const TaskPaths& paths, int attempt,
                          const Assignment& assignment) const = 0;

  /// Starts the gang whose order is in the attempt's folder, and returns at once: it lives on without the
  /// launcher. Whether it came up shows in its claim. Throws Error(resources) where no process can be
  /// started.
  virtual void start(const AttemptPaths& attempt) = 0;

  /// Whether such a start has been carried out, as far as more of them at a time would hold each other up.
  /// The gang may have ended since.
  virtual bool came_up(const Task& task, const AttemptPaths& attempt) const = 0;

  /// A gang that this object started and that ended before it could make its claim (a lost race, a full
  /// disk): the exit code of what was started. nullopt: still coming up, or not known here.
  virtual std::optional<int> failed_start(const AttemptPaths& attempt) = 0;

  /// Whether a gang that this object started still has its shim; nullopt: it was started by another. Cheap
  /// enough to ask often.
  virtual std::optional<bool> shim_lives(const AttemptPaths& attempt) = 0;

  virtual Liveness alive(const ProcessIdentity& claim) const = 0;

  /// 'Save and stop', to every rank. The gang may have ended meanwhile: then nothing happens.
  virtual void ask_to_stop(const ProcessIdentity& claim) = 0;
  /// Ends the gang now: SIGTERM, soon SIGKILL.
  virtual void end(const ProcessIdentity& claim) = 0;
  /// Ends what a gang without its claim's process left behind; returns how many processes that were.
  virtual int end_leftovers(const GangOrder& order) = 0;
};

}  // namespace muster
