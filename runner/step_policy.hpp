#pragma once
/// When to save and when to stop, from clocks alone.

#include <cstdint>
#include <optional>

#include "core/experiment.hpp"
#include "runner/workload.hpp"

namespace muster {

/// All times in seconds of one clock, unix time where there is a deadline.
class StepPolicy {
 public:
  StepPolicy(const Policy& policy, std::optional<double> deadline, double now);

  /// After every step: what the clock asks for. `save` once per interval; `save_and_stop` from the moment on
  /// when the time left would not hold two more steps, a checkpoint as slow as the slowest so far, and
  /// kReserve.
  AfterStep after_step(double now);
  /// What the step's number asks for, on every rank the same.
  AfterStep at_step(std::int64_t step) const;
  /// A checkpoint was written from `began` to `now`.
  void saved(double began, double now);
  /// Of recent steps, checkpoints left out.
  double slow_step() const { return slow_step_; }

  /// For ending the ranks, and for a first checkpoint that nothing is known of.
  static constexpr double kReserve = 10;

 private:
  Policy policy_;
  std::optional<double> deadline_;
  double step_began_;
  double last_save_;
  double slow_step_ = 0;
  double slow_save_ = 0;
};

}  // namespace muster
