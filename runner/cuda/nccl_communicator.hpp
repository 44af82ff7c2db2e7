#pragma once
/// Collectives between GPUs, by NCCL.

#include <cuda_runtime_api.h>
#include <nccl.h>

#include <functional>
#include <memory>

#include "runner/cuda/module.hpp"

namespace muster {

class NcclConnection;

/// Its NCCL communicator does not block: a call whose peer is lost ends in an error when the options'
/// patience does, and between calls a thread of its own watches what is under way. Contract:
/// DeviceCommunicator, and CudaModule::connect.
class NcclCommunicator final : public DeviceCommunicator {
 public:
  /// CudaModule::connect.
  static std::unique_ptr<DeviceCommunicator> connect(Communicator& control,
                                                     const DeviceCommunicatorOptions& options);
  ~NcclCommunicator() override;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  PendingWork all_reduce(void* data, std::size_t count, DType type, ReduceOp op,
                         ExchangeAlgorithm algorithm = ExchangeAlgorithm::library) override;
  PendingWork all_gather(const void* in, std::size_t bytes, void* out) override;
  PendingWork all_gather_v(const void* in, void* out, const std::vector<std::size_t>& bytes_of) override;
  PendingWork reduce_scatter(const void* in, void* out, std::size_t count, DType type, ReduceOp op) override;
  PendingWork broadcast(void* data, std::size_t bytes, int root) override;
  void barrier() override;
  std::unique_ptr<Communicator> split(int colour, int key) override;
  Traffic traffic() const override;
  void on_stream(void* stream) override;

 private:
  class Collective;
  using Issue = std::function<ncclResult_t(ncclComm_t, cudaStream_t)>;
  explicit NcclCommunicator(std::shared_ptr<NcclConnection> connection);
  PendingWork enqueue(std::size_t payload_bytes, const Issue& issue);

  std::shared_ptr<NcclConnection> connection_;
  int rank_ = 0;
  int size_ = 0;
  Traffic traffic_;  ///< without busy_seconds, which the connection knows
};

}  // namespace muster
