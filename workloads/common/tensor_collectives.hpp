#pragma once
/// Collectives on tensors, wherever they are.

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "runner/communicator.hpp"
#include "runner/device_communicator.hpp"

namespace muster::workloads {

/// Ranks' tensors travel as they are: those in host memory through a Communicator, those in GPUs' through a
/// DeviceCommunicator. Without one, and where an algorithm is asked for by name, those in GPUs' go through
/// host memory, for which the caller waits. Tensors must be dense, and live untouched until Work::wait; every
/// rank must call the same in the same order. Copies share the communicators.
class TensorCollectives {
 public:
  /// Both must outlive it, and all copies. `gpus` may be null.
  // NOLINTNEXTLINE(google-explicit-constructor): a Communicator alone is the usual case.
  TensorCollectives(Communicator& host, DeviceCommunicator* gpus = nullptr);

  int rank() const { return host_->rank(); }
  int size() const { return host_->size(); }
  Communicator& host() const { return *host_; }
  /// Whether it goes from GPU to GPU: then nothing waits for it but the GPU's stream.
  bool between_gpus(const at::Tensor& tensor,
                    ExchangeAlgorithm algorithm = ExchangeAlgorithm::library) const {
    return gpus_ && !tensor.is_cpu() && algorithm == ExchangeAlgorithm::library;
  }

  PendingWork all_reduce(const at::Tensor& tensor, ReduceOp op,
                         ExchangeAlgorithm algorithm = ExchangeAlgorithm::library) const;
  PendingWork broadcast(const at::Tensor& tensor, int root) const;
  /// `out` is as large as size() of `in`.
  PendingWork all_gather(const at::Tensor& in, const at::Tensor& out) const;
  /// `bytes_of[r]` from rank r, one after the other.
  PendingWork all_gather_v(const at::Tensor& in, const at::Tensor& out,
                           const std::vector<std::size_t>& bytes_of) const;
  /// `in` is as large as size() of `out`.
  PendingWork reduce_scatter(const at::Tensor& in, const at::Tensor& out, ReduceOp op) const;

  /// Collective: see Communicator::split. What it returns owns its communicators.
  TensorCollectives split(int colour, int key) const;

  /// Of both communicators.
  Traffic traffic() const;

 private:
  TensorCollectives(std::shared_ptr<Communicator> host, std::shared_ptr<DeviceCommunicator> gpus)
      : host_(std::move(host)), gpus_(std::move(gpus)) {}
  Communicator& way(bool between_gpus) const {
    return between_gpus ? static_cast<Communicator&>(*gpus_) : *host_;
  }

  std::shared_ptr<Communicator> host_;
  std::shared_ptr<DeviceCommunicator> gpus_;  ///< may be null
};

/// What has gone through several communicators.
Traffic operator+(Traffic a, const Traffic& b);

}  // namespace muster::workloads
