#pragma once
/// c10d over our communicators: what the Reducer of LibTorch, and any C++ comm hook, exchanges gradients
/// through.

#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "workloads/common/tensor_collectives.hpp"
#include "workloads/common/time_mark.hpp"

namespace muster::workloads {

/// A `c10d::Backend` whose collectives run on communicators, which must outlive it. Every rank must call the
/// same collectives in the same order, from one thread at a time. Each call returns at once; its future is
/// completed by one thread of the backend, in the order of the calls; of what goes from GPU to GPU it is
/// complete at once, and c10d::Work::wait makes the stream wait. A collective that fails puts its exception
/// in the future. Tensors must lie dense.
class CommunicatorBackend : public c10d::Backend {
 public:
  explicit CommunicatorBackend(TensorCollectives collectives,
                               ExchangeAlgorithm algorithm = ExchangeAlgorithm::library);
  ~CommunicatorBackend() override;

  const std::string getBackendName() const override { return "muster"; }

  /// How the all-reduces that are called from now on travel. The same on every rank.
  void set_algorithm(ExchangeAlgorithm algorithm) { algorithm_ = algorithm; }

  /// When the newest collective was handed over, on the device of its tensor.
  const std::optional<TimeMark>& last_start() const { return last_start_; }

  /// One tensor, in place; SUM, MIN or MAX.
  c10::intrusive_ptr<c10d::Work> allreduce(std::vector<at::Tensor>& tensors,
                                           const c10d::AllreduceOptions& options) override;
  /// One tensor, from `options.rootRank`.
  c10::intrusive_ptr<c10d::Work> broadcast(std::vector<at::Tensor>& tensors,
                                           const c10d::BroadcastOptions& options) override;
  /// One input; `outputs[0]` holds a tensor a rank.
  c10::intrusive_ptr<c10d::Work> allgather(std::vector<std::vector<at::Tensor>>& outputs,
                                           std::vector<at::Tensor>& inputs,
                                           const c10d::AllgatherOptions& options) override;
  c10::intrusive_ptr<c10d::Work> _allgather_base(at::Tensor& output, at::Tensor& input,
                                                 const c10d::AllgatherOptions& options) override;
  c10::intrusive_ptr<c10d::Work> _reduce_scatter_base(at::Tensor& output, at::Tensor& input,
                                                      const c10d::ReduceScatterOptions& options) override;
  c10::intrusive_ptr<c10d::Work> barrier(const c10d::BarrierOptions& options) override;

 private:
  class Completion;
  c10::intrusive_ptr<c10d::Work> add(c10d::OpType type, bool between_gpus, PendingWork work,
                                     std::vector<at::Tensor> tensors,
                                     std::function<void()> afterwards = nullptr);

  TensorCollectives collectives_;
  ExchangeAlgorithm algorithm_;
  std::optional<TimeMark> last_start_;
  std::unique_ptr<Completion> completion_;
};

/// Whose streams a future of this tensor must know: its GPU's, or none.
std::vector<c10::Device> devices_of(const at::Tensor& tensor);

/// A process group with `backend` for host memory and GPUs': c10d's own functions take one.
c10::intrusive_ptr<c10d::ProcessGroup> make_process_group(
    const c10::intrusive_ptr<CommunicatorBackend>& backend);

}  // namespace muster::workloads
