#pragma once
/// Learning-rate schedules: plain functions of the epoch, which may be a fraction.

#include <cstdint>
#include <string>
#include <vector>

namespace muster::workloads {

/// What a schedule is made of. `kind` says which fields count.
struct ScheduleOptions {
  enum class Kind {
    constant,  ///< `peak` throughout
    step,      ///< `peak`, times `step_factor` at each of `milestones`
    cosine,    ///< from `peak` to zero over what warm-up leaves (Loshchilov and Hutter 2017, no restarts)
    piecewise_linear,  ///< straight lines through `knots`
  };
  /// A point of the piecewise-linear schedule.
  struct Knot {
    double epoch = 0;
    double rate = 0;
  };
  Kind kind = Kind::constant;
  double peak = 0.1;
  double epochs = 1;  ///< length of the training; cosine ends there
  double warmup_epochs =
      0;  ///< a straight line from `warmup_start` to the schedule (Goyal et al. 2017); not piecewise_linear
  double warmup_start = 0;         ///< rate at epoch 0 as a share of `peak`
  std::vector<double> milestones;  ///< epochs, rising
  double step_factor = 0.1;
  std::vector<Knot> knots;  ///< epochs, rising; the rate is held before the first and after the last
};

/// Throws Error(config) for an unknown name: "constant", "step", "cosine", "piecewise_linear".
ScheduleOptions::Kind schedule_kind_from(const std::string& name);

/// The learning rate at an epoch. Stateless: a resumed training needs nothing saved.
class Schedule {
 public:
  /// Throws Error(config) where milestones or knots do not rise, knots are missing, or a length is negative.
  explicit Schedule(ScheduleOptions options);

  /// `epoch` counts from 0 and moves within an epoch: step 50 of 100 in the first is 0.5.
  double rate(double epoch) const;

  /// The rate for an optimiser step: steps count from 0. The middle of no interval: the rate where the step
  /// begins.
  double rate_at(std::int64_t step, std::int64_t steps_per_epoch) const;

 private:
  ScheduleOptions options_;
};

/// `rate` scaled linearly from the batch that it was chosen for to the global batch (Goyal et al. 2017).
double scaled_by_batch(double rate, std::int64_t global_batch, std::int64_t reference_batch);

}  // namespace muster::workloads
