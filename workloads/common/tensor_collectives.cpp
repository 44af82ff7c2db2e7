#include "workloads/common/tensor_collectives.hpp"

#include <ATen/ATen.h>

#include <utility>

#include "core/error.hpp"
#include "workloads/common/training_state.hpp"

namespace muster::workloads {
namespace {

/// A collective on copies in host memory. What it leaves goes back when it is waited for.
class Staged final : public Work {
 public:
  Staged(PendingWork work, at::Tensor read, at::Tensor written, at::Tensor target)
      : work_(std::move(work)),
        read_(std::move(read)),
        written_(std::move(written)),
        target_(std::move(target)) {}
  void wait() override {
    work_->wait();
    const at::NoGradGuard no_grad;
    if (written_.defined()) target_.copy_(written_);
    written_.reset();
  }
  bool done() override { return work_->done(); }

 private:
  PendingWork work_;
  at::Tensor read_;  ///< lives as long as the collective
  at::Tensor written_;
  at::Tensor target_;
};

std::size_t count_of(const at::Tensor& tensor) { return static_cast<std::size_t>(tensor.numel()); }

void require_dense(const at::Tensor& tensor) {
  if (!tensor.is_non_overlapping_and_dense()) {
    throw Error(ExitCode::internal, "a collective was given a tensor that does not lie dense in memory",
                "pass tensor.contiguous()");
  }
}

/// Runs `collective` on `tensor`, or on a copy in host memory.
template <class Collective>
PendingWork in_place(const at::Tensor& tensor, bool as_it_is, const Collective& collective) {
  if (as_it_is) return collective(tensor);
  const at::Tensor copy = tensor.cpu();
  return std::make_shared<Staged>(collective(copy), copy, copy, tensor);
}

/// The same for one that reads `in` and writes `out`.
template <class Collective>
PendingWork from_to(const at::Tensor& in, const at::Tensor& out, bool as_they_are,
                    const Collective& collective) {
  if (as_they_are) return collective(in, out);
  const at::Tensor read = in.cpu();
  const at::Tensor written = at::empty_like(out, out.options().device(at::kCPU));
  return std::make_shared<Staged>(collective(read, written), read, written, out);
}

}  // namespace

TensorCollectives::TensorCollectives(Communicator& host, DeviceCommunicator* gpus)
    : host_(std::shared_ptr<Communicator>{}, &host), gpus_(std::shared_ptr<DeviceCommunicator>{}, gpus) {}

PendingWork TensorCollectives::all_reduce(const at::Tensor& tensor, ReduceOp op,
                                          ExchangeAlgorithm algorithm) const {
  require_dense(tensor);
  const bool direct = between_gpus(tensor, algorithm);
  return in_place(tensor, direct || tensor.is_cpu(), [&](const at::Tensor& data) {
    return way(direct).all_reduce(data.mutable_data_ptr(), count_of(data), dtype_of(data.scalar_type()), op,
                                  algorithm);
  });
}

PendingWork TensorCollectives::broadcast(const at::Tensor& tensor, int root) const {
  require_dense(tensor);
  const bool direct = between_gpus(tensor);
  return in_place(tensor, direct || tensor.is_cpu(), [&](const at::Tensor& data) {
    return way(direct).broadcast(data.mutable_data_ptr(), data.nbytes(), root);
  });
}

PendingWork TensorCollectives::all_gather(const at::Tensor& in, const at::Tensor& out) const {
  require_dense(in);
  require_dense(out);
  MUSTER_ASSERT(out.nbytes() == in.nbytes() * static_cast<std::size_t>(size()));
  const bool direct = between_gpus(in);
  return from_to(in, out, direct || in.is_cpu(), [&](const at::Tensor& own, const at::Tensor& all) {
    return way(direct).all_gather(own.const_data_ptr(), own.nbytes(), all.mutable_data_ptr());
  });
}

PendingWork TensorCollectives::all_gather_v(const at::Tensor& in, const at::Tensor& out,
                                            const std::vector<std::size_t>& bytes_of) const {
  require_dense(in);
  require_dense(out);
  const bool direct = between_gpus(in);
  return from_to(in, out, direct || in.is_cpu(), [&](const at::Tensor& own, const at::Tensor& all) {
    return way(direct).all_gather_v(own.const_data_ptr(), all.mutable_data_ptr(), bytes_of);
  });
}

PendingWork TensorCollectives::reduce_scatter(const at::Tensor& in, const at::Tensor& out,
                                              ReduceOp op) const {
  require_dense(in);
  require_dense(out);
  MUSTER_ASSERT(in.numel() == out.numel() * size() && in.scalar_type() == out.scalar_type());
  const bool direct = between_gpus(in);
  return from_to(in, out, direct || in.is_cpu(), [&](const at::Tensor& all, const at::Tensor& own) {
    return way(direct).reduce_scatter(all.const_data_ptr(), own.mutable_data_ptr(), count_of(own),
                                      dtype_of(own.scalar_type()), op);
  });
}

TensorCollectives TensorCollectives::split(int colour, int key) const {
  std::shared_ptr<DeviceCommunicator> gpus;
  if (gpus_) {
    // A DeviceCommunicator's parts are DeviceCommunicators.
    std::shared_ptr<Communicator> part = gpus_->split(colour, key);
    gpus = std::dynamic_pointer_cast<DeviceCommunicator>(part);
    MUSTER_ASSERT(gpus);
  }
  return {std::shared_ptr<Communicator>(host_->split(colour, key)), std::move(gpus)};
}

Traffic TensorCollectives::traffic() const {
  return gpus_ ? host_->traffic() + gpus_->traffic() : host_->traffic();
}

Traffic operator+(Traffic a, const Traffic& b) {
  a.bytes_sent += b.bytes_sent;
  a.bytes_received += b.bytes_received;
  a.payload_bytes += b.payload_bytes;
  a.collectives += b.collectives;
  a.busy_seconds += b.busy_seconds;
  a.wait_seconds += b.wait_seconds;
  return a;
}

}  // namespace muster::workloads
