#include "workloads/common/exchange/gradient_exchange.hpp"

#include <ATen/ATen.h>
#include <torch/csrc/distributed/c10d/reducer.hpp>

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/error.hpp"
#include "workloads/common/exchange/communicator_backend.hpp"
#include "workloads/common/host_values.hpp"
#include "workloads/common/layers/gradient_places.hpp"

namespace muster::workloads {
namespace {

constexpr std::size_t kFirstBucketBytes = 1 << 20;
constexpr std::size_t kBroadcastBytes = 64 << 20;

/// c10d's Reducer, whose bucket assignment can be read and, after a resume, held.
class ResumableReducer : public c10d::Reducer {
 public:
  ResumableReducer(const std::vector<at::Tensor>& parameters, std::vector<std::vector<std::size_t>> buckets,
                   c10::intrusive_ptr<c10d::ProcessGroup> group, std::size_t bucket_bytes,
                   std::size_t first_bucket_bytes)
      : c10d::Reducer(parameters, std::move(buckets), std::move(group),
                      std::vector<bool>(parameters.size(), false), static_cast<std::int64_t>(bucket_bytes),
                      /*find_unused_parameters=*/false, /*gradient_as_bucket_view=*/true, /*param_names=*/{},
                      static_cast<std::int64_t>(first_bucket_bytes), /*skip_all_reduce_unused_params=*/false,
                      /*use_python_reducer=*/false, /*bucket_bytes_cap_list=*/{}) {}

  std::vector<std::vector<std::size_t>> buckets() const {
    std::vector<std::vector<std::size_t>> result;
    for (const Bucket& bucket : buckets_) result.push_back(bucket.variable_indices);
    return result;
  }
  /// Where each parameter's gradient lies in its bucket.
  std::vector<at::Tensor> places(std::size_t parameters) const {
    std::vector<at::Tensor> result(parameters);
    for (const Bucket& bucket : buckets_) {
      for (std::size_t i = 0; i < bucket.variable_indices.size(); ++i)
        result[bucket.variable_indices[i]] = bucket.bucket_views_in[i];
    }
    return result;
  }
  /// The buckets stay as they are: no backward pass is watched.
  void hold_buckets() { has_rebuilt_bucket_ = true; }
};

using Works = std::vector<c10::intrusive_ptr<c10d::Work>>;

/// Leaves the sum over the ranks, and in `under_way` what to wait for at the end: on a GPU's stream, not
/// before, or the backward pass would not overlap it.
class SumHook : public c10d::CppCommHookInterface<c10::intrusive_ptr<c10d::ProcessGroup>> {
 public:
  SumHook(c10::intrusive_ptr<c10d::ProcessGroup> group, Works& under_way)
      : CppCommHookInterface(std::move(group)), under_way_(under_way) {}
  c10::intrusive_ptr<c10::ivalue::Future> runHook(c10d::GradBucket& bucket) override {
    std::vector<at::Tensor> gradients{bucket.getBufferRef()};
    under_way_.push_back(state_->allreduce(gradients));
    return under_way_.back()->getFuture();
  }

 private:
  Works& under_way_;
};

/// Gradients become ready roughly from the last parameter to the first.
std::vector<std::vector<std::size_t>> initial_buckets(const std::vector<at::Tensor>& parameters,
                                                      std::size_t bucket_bytes,
                                                      std::size_t first_bucket_bytes) {
  auto buckets = std::get<0>(c10d::compute_bucket_assignment_by_size(
      parameters, {first_bucket_bytes, bucket_bytes}, std::vector<bool>(parameters.size(), false)));
  std::reverse(buckets.begin(), buckets.end());
  return buckets;
}

}  // namespace

struct GradientExchange::State {
  c10::intrusive_ptr<CommunicatorBackend> backend;
  c10::intrusive_ptr<c10d::ProcessGroup> group;
  std::vector<at::Tensor> parameters;
  Works under_way;
  std::unique_ptr<ResumableReducer> reducer;
  double loss_share = 1;  ///< what of the loss the backward pass takes
  bool settled = false;
  TimeSum exposed;  ///< from the last gradient to the last bucket's arrival
};

GradientExchange::GradientExchange(const TensorCollectives& collectives, std::vector<at::Tensor> parameters,
                                   const ExchangeOptions& options)
    : state_(std::make_unique<State>()) {
  if (collectives.size() == 1 && !options.hook) return;
  MUSTER_ASSERT(options.bucket_mb > 0 && !parameters.empty());
  state_->backend = c10::make_intrusive<CommunicatorBackend>(collectives, options.algorithm);
  state_->group = make_process_group(state_->backend);
  try {
    c10d::verify_params_across_processes(state_->group, parameters, std::nullopt);
  } catch (const c10::Error& error) {
    throw Error(ExitCode::internal,
                std::string("the ranks' networks differ: ") + error.what_without_backtrace(),
                "build the same network on every rank");
  }

  const auto bucket_bytes = static_cast<std::size_t>(std::ceil(options.bucket_mb * (1 << 20)));
  const std::size_t first_bytes = std::min(kFirstBucketBytes, bucket_bytes);
  auto buckets =
      options.buckets ? options.buckets->buckets : initial_buckets(parameters, bucket_bytes, first_bytes);
  state_->reducer = std::make_unique<ResumableReducer>(parameters, std::move(buckets), state_->group,
                                                       bucket_bytes, first_bytes);
  state_->parameters = std::move(parameters);
  if (options.hook) {
    state_->reducer->register_comm_hook(options.hook(state_->group));
  } else {
    // The mean of the losses' gradients: dividing the gradients instead takes one more pass over all of them.
    state_->loss_share = 1.0 / collectives.size();
    state_->reducer->register_comm_hook(std::make_unique<SumHook>(state_->group, state_->under_way));
  }
  state_->settled = options.buckets && options.buckets->settled;
  if (state_->settled) state_->reducer->hold_buckets();
}

GradientExchange::~GradientExchange() = default;

void GradientExchange::backward(const at::Tensor& loss) {
  if (!state_->reducer) {
    loss.backward();
    return;
  }
  state_->reducer->prepare_for_forward();
  state_->reducer->prepare_for_backward({});
  {
    const GradientPlaces places(state_->parameters, state_->reducer->places(state_->parameters.size()));
    (state_->loss_share == 1 ? loss : loss * state_->loss_share).backward();
  }
  for (const auto& work : state_->under_way) work->wait();
  state_->under_way.clear();
  if (const auto& last_start = state_->backend->last_start())
    state_->exposed.add(*last_start, TimeMark(loss.device()));
  if (!state_->settled) {
    // At once, not before the next forward pass: a checkpoint after any step then holds the lasting
    // assignment.
    state_->reducer->rebuild_buckets();
    state_->settled = true;
  }
}

BucketAssignment GradientExchange::buckets() const {
  if (!state_->reducer) return {};
  return {state_->reducer->buckets(), state_->settled};
}

ExchangeTimes GradientExchange::take_times() { return {.exposed_seconds = state_->exposed.take_reached()}; }

std::vector<double> sums_beside_backward(Communicator& ranks, const std::vector<at::Tensor>& losses,
                                         const std::function<void()>& backward) {
  const HostValues values(losses);
  std::vector<double> sums;
  PendingWork summed;
  const auto start = [&] {
    sums = values.get();
    summed = ranks.all_reduce(sums.data(), sums.size(), DType::f64, ReduceOp::sum);
  };
  const bool on_cpu = losses.front().is_cpu();
  if (on_cpu) start();
  backward();
  if (!on_cpu) start();
  summed->wait();
  return sums;
}

void average_in_one_message(const TensorCollectives& collectives, const std::vector<at::Tensor>& tensors) {
  if (collectives.size() == 1 || tensors.empty()) return;
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> flat;
  for (const at::Tensor& tensor : tensors) flat.push_back(tensor.flatten());
  const at::Tensor message = at::cat(flat);
  collectives.all_reduce(message, ReduceOp::sum)->wait();
  message.div_(collectives.size());
  std::int64_t at = 0;
  for (const at::Tensor& tensor : tensors) {
    tensor.copy_(message.narrow(0, at, tensor.numel()).view_as(tensor));
    at += tensor.numel();
  }
}

void broadcast_from_first(const TensorCollectives& collectives, const std::vector<at::Tensor>& tensors) {
  if (collectives.size() == 1) return;
  at::NoGradGuard no_grad;
  const auto backend = c10::make_intrusive<CommunicatorBackend>(collectives);
  c10d::broadcast_coalesced(make_process_group(backend), tensors, kBroadcastBytes, 0);
}

}  // namespace muster::workloads
