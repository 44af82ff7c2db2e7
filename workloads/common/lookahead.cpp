#include "workloads/common/lookahead.hpp"

#include <cmath>

#include "core/error.hpp"

namespace muster::workloads {

Lookahead::Lookahead(std::unique_ptr<Optimiser> other, NamedTensors parameters, NamedTensors weights,
                     const LookaheadOptions& options, std::int64_t total_steps)
    : Optimiser(std::move(parameters)),
      other_(std::move(other)),
      weights_(std::move(weights)),
      state_(other_->state()),
      options_(options),
      total_steps_(total_steps) {
  if (options.every < 1 || !(options.decay >= 0 && options.decay <= 1)) {
    throw Error(ExitCode::config, "lookahead: it needs a number of steps above 0, and a decay from 0 to 1",
                "the usual choice is lookahead.every = 5, lookahead.decay = 0.95");
  }
  for (const auto& [name, tensor] : weights_) {
    mean_.push_back(torch::empty_like(tensor.detach()));
    state_.emplace_back("lookahead." + name, mean_.back());
  }
}

void Lookahead::set_steps(std::int64_t steps) {
  Optimiser::set_steps(steps);
  other_->set_steps(steps);
}

void Lookahead::step(double rate) {
  const torch::NoGradGuard no_grad;
  if (steps_ == 0) {
    for (std::size_t i = 0; i < mean_.size(); ++i) mean_[i].copy_(weights_[i].second);
  }
  other_->step(rate);
  ++steps_;
  const bool joins = steps_ % options_.every == 0;
  if (joins) {
    const double part = static_cast<double>(steps_) / static_cast<double>(total_steps_);
    const double kept = std::pow(options_.decay, options_.every) * std::pow(part, 3);
    for (std::size_t i = 0; i < mean_.size(); ++i) mean_[i].lerp_(weights_[i].second, 1 - kept);
  }
  if (!joins && steps_ != total_steps_) return;
  for (std::size_t i = 0; i < mean_.size(); ++i) weights_[i].second.copy_(mean_[i]);
}

}  // namespace muster::workloads
