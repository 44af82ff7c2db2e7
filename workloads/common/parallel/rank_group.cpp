#include "workloads/common/parallel/rank_group.hpp"

#include <string>

#include "core/error.hpp"

namespace muster::workloads {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

struct TakeWhole : torch::autograd::Function<TakeWhole> {
  static Tensor forward(AutogradContext* context, const Tensor& input, const RankGroup* group,
                        SumCost* backward_cost) {
    context->saved_data["group"] = reinterpret_cast<std::int64_t>(group);
    context->saved_data["cost"] = reinterpret_cast<std::int64_t>(backward_cost);
    return input.view_as(input);
  }
  static variable_list backward(AutogradContext* context, const variable_list& outputs) {
    const auto* group = reinterpret_cast<const RankGroup*>(context->saved_data["group"].toInt());
    auto* cost = reinterpret_cast<SumCost*>(context->saved_data["cost"].toInt());
    const Tensor gradient = outputs[0].clone();  // Others may hold the incoming one.
    group->sum_in_place(gradient, cost).wait();
    return {gradient, Tensor(), Tensor()};
  }
};

struct SumParts : torch::autograd::Function<SumParts> {
  static Tensor forward(AutogradContext*, const Tensor& input, const RankGroup* group,
                        SumCost* forward_cost) {
    const Tensor sum = input.clone();
    group->sum_in_place(sum, forward_cost).wait();
    return sum;
  }
  static variable_list backward(AutogradContext*, const variable_list& outputs) {
    return {outputs[0], Tensor(), Tensor()};
  }
};

}  // namespace

void RankSum::wait() {
  if (!work_) return;
  const TimeMark begin(device_);
  work_->wait();
  work_.reset();
  if (cost_) cost_->waits.add(begin, TimeMark(device_));
}

SplitRange RankGroup::part_of(std::int64_t total, int rank) const {
  if (total < size()) {
    throw Error(ExitCode::config,
                std::to_string(total) + " channels cannot be split over " + std::to_string(size()) + " ranks",
                "use fewer ranks for one network, or a wider network");
  }
  const std::int64_t least = total / size();
  const std::int64_t longer = total % size();
  return {least * rank + std::min<std::int64_t>(rank, longer), least + (rank < longer ? 1 : 0)};
}

RankSum RankGroup::sum_in_place(const Tensor& tensor, SumCost* cost) const {
  if (!sums_ || size() == 1) return {};
  if (cost) {
    cost->bytes += static_cast<std::int64_t>(tensor.nbytes());
    ++cost->sums;
  }
  return {collectives_.all_reduce(tensor, ReduceOp::sum), tensor.device(), cost};
}

Tensor take_whole(const Tensor& input, const RankGroup& group, SumCost* backward_cost) {
  return TakeWhole::apply(input, &group, backward_cost);
}

Tensor sum_parts(const Tensor& input, const RankGroup& group, SumCost* forward_cost) {
  return SumParts::apply(input, &group, forward_cost);
}

}  // namespace muster::workloads
