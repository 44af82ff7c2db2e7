#include "workloads/common/schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/error.hpp"

namespace muster::workloads {
namespace {

double between(const std::vector<ScheduleOptions::Knot>& knots, double epoch) {
  const auto after =
      std::find_if(knots.begin(), knots.end(), [&](const auto& knot) { return knot.epoch > epoch; });
  if (after == knots.begin()) return knots.front().rate;
  if (after == knots.end()) return knots.back().rate;
  const auto& left = *(after - 1);
  return left.rate + (after->rate - left.rate) * (epoch - left.epoch) / (after->epoch - left.epoch);
}

[[noreturn]] void refuse(const std::string& problem, const std::string& advice) {
  throw Error(ExitCode::config, "learning-rate schedule: " + problem, advice);
}

}  // namespace

ScheduleOptions::Kind schedule_kind_from(const std::string& name) {
  if (name == "constant") return ScheduleOptions::Kind::constant;
  if (name == "step") return ScheduleOptions::Kind::step;
  if (name == "cosine") return ScheduleOptions::Kind::cosine;
  if (name == "piecewise_linear") return ScheduleOptions::Kind::piecewise_linear;
  refuse("no schedule is called '" + name + "'", "use constant, step, cosine or piecewise_linear");
}

Schedule::Schedule(ScheduleOptions options) : options_(std::move(options)) {
  const auto rising = [](const auto& list, auto key) {
    return std::adjacent_find(list.begin(), list.end(),
                              [&](const auto& a, const auto& b) { return !(key(a) < key(b)); }) == list.end();
  };
  if (options_.kind == ScheduleOptions::Kind::piecewise_linear && options_.knots.empty()) {
    refuse("piecewise_linear has no points", "give at least one epoch and its rate");
  }
  if (!rising(options_.knots, [](const auto& knot) { return knot.epoch; })) {
    refuse("the epochs of its points do not rise", "list them in order, each once");
  }
  if (!rising(options_.milestones, [](double epoch) { return epoch; })) {
    refuse("its milestones do not rise", "list them in order, each once");
  }
  if (!(options_.warmup_epochs >= 0) || !(options_.epochs >= 0)) {
    refuse("a length is negative", "give epochs and warm-up epochs of 0 or more");
  }
}

double Schedule::rate(double epoch) const {
  if (options_.kind == ScheduleOptions::Kind::piecewise_linear) return between(options_.knots, epoch);
  const double warmup = options_.warmup_epochs;
  if (epoch < warmup) {
    return options_.peak * (options_.warmup_start + (1 - options_.warmup_start) * epoch / warmup);
  }
  switch (options_.kind) {
    case ScheduleOptions::Kind::step: {
      const auto passed = std::count_if(options_.milestones.begin(), options_.milestones.end(),
                                        [&](double milestone) { return milestone <= epoch; });
      return options_.peak * std::pow(options_.step_factor, static_cast<double>(passed));
    }
    case ScheduleOptions::Kind::cosine: {
      const double length = options_.epochs - warmup;
      const double part = length > 0 ? std::clamp((epoch - warmup) / length, 0.0, 1.0) : 1.0;
      return options_.peak * 0.5 * (1 + std::cos(std::numbers::pi * part));
    }
    default:
      return options_.peak;
  }
}

double Schedule::rate_at(std::int64_t step, std::int64_t steps_per_epoch) const {
  MUSTER_ASSERT(steps_per_epoch > 0);
  return rate(static_cast<double>(step) / static_cast<double>(steps_per_epoch));
}

double scaled_by_batch(double rate, std::int64_t global_batch, std::int64_t reference_batch) {
  return rate * static_cast<double>(global_batch) / static_cast<double>(reference_batch);
}

}  // namespace muster::workloads
