#pragma once
/// Averages gradients over the ranks while the backward pass still runs (Li et al. 2020, "PyTorch
/// Distributed").

#include <torch/csrc/distributed/c10d/comm.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "workloads/common/exchange/bucket_assignment.hpp"
#include "workloads/common/tensor_collectives.hpp"

namespace muster::workloads {

/// Makes a comm hook over the exchange's process group. A hook replaces the averaging all-reduce of each
/// bucket: what its future holds becomes the gradients, so it divides by the number of ranks itself.
using CommHookFactory =
    std::function<std::unique_ptr<c10d::CommHookInterface>(const c10::intrusive_ptr<c10d::ProcessGroup>&)>;

struct ExchangeOptions {
  ExchangeAlgorithm algorithm = ExchangeAlgorithm::library;
  double bucket_mb =
      4;  ///< MiB of gradients after which a bucket is full; the first is full after at most one
  std::optional<BucketAssignment> buckets;  ///< a checkpoint's; nullopt: begin anew
  CommHookFactory hook;                     ///< empty: average
};

/// Where a step's exchange spent its time.
struct ExchangeTimes {
  double exposed_seconds =
      0;  ///< from the last gradient to the last bucket's arrival: what nothing overlapped
};

/// One network's gradient exchange, on c10d's Reducer. Parameters and communicators must outlive it, and
/// gradients must be cleared with set_to_none. Every rank must make it over the same parameters and call
/// backward() alike. On one rank, without a hook, nothing is exchanged or copied.
class GradientExchange {
 public:
  /// Collective. Throws Error(internal) where the ranks' parameters differ in number, shape or type.
  GradientExchange(const TensorCollectives& collectives, std::vector<at::Tensor> parameters,
                   const ExchangeOptions& options);
  ~GradientExchange();
  GradientExchange(const GradientExchange&) = delete;
  GradientExchange& operator=(const GradientExchange&) = delete;

  /// Collective. Runs the backward pass of `loss`, a scalar; then every parameter's grad is the mean over the
  /// ranks, bitwise the same on each. The first call settles the buckets.
  void backward(const at::Tensor& loss);

  /// What a checkpoint must hold for sums in the same order.
  BucketAssignment buckets() const;

  /// Of what backward() has put to an end since the last call: a GPU that is still at it is not waited for.
  ExchangeTimes take_times();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Collective: the ranks' sums of `losses`, the same on every rank, by which all judge alike. They travel
/// while `backward` runs: a GPU is waited for till it has the losses, with the pass already on its stream.
std::vector<double> sums_beside_backward(Communicator& ranks, const std::vector<at::Tensor>& losses,
                                         const std::function<void()>& backward);

/// Collective: `tensors`, of one type, become their means over the ranks, in one message.
void average_in_one_message(const TensorCollectives& collectives, const std::vector<at::Tensor>& tensors);

/// Collective: every rank's `tensors` become rank 0's. Same list on every rank.
void broadcast_from_first(const TensorCollectives& collectives, const std::vector<at::Tensor>& tensors);

}  // namespace muster::workloads
