#include "runner/step_policy.hpp"

#include <algorithm>

namespace muster {

namespace {

/// A step that was slow once is forgotten by half within about 70 steps.
constexpr double kFade = 0.99;

}  // namespace

StepPolicy::StepPolicy(const Policy& policy, std::optional<double> deadline, double now)
    : policy_(policy), deadline_(deadline), step_began_(now), last_save_(now) {}

AfterStep StepPolicy::after_step(double now) {
  slow_step_ = std::max(slow_step_ * kFade, now - step_began_);
  step_began_ = now;
  if (deadline_ && *deadline_ - now < 2 * slow_step_ + slow_save_ + kReserve) return AfterStep::save_and_stop;
  if (policy_.checkpoint_seconds > 0 && now - last_save_ >= policy_.checkpoint_seconds) {
    last_save_ = now;
    return AfterStep::save;
  }
  return AfterStep::go_on;
}

AfterStep StepPolicy::at_step(std::int64_t step) const {
  return policy_.checkpoint_steps > 0 && step > 0 && step % policy_.checkpoint_steps == 0 ? AfterStep::save
                                                                                          : AfterStep::go_on;
}

void StepPolicy::saved(double began, double now) {
  slow_save_ = std::max(slow_save_, now - began);
  last_save_ = now;
  step_began_ = now;
}

}  // namespace muster
