#include "runner/cuda/nccl_communicator.hpp"

#include <chrono>
#include <thread>
#include <utility>

#include "runner/cuda/nccl_connection.hpp"
#include "runner/cuda/nccl_library.hpp"

namespace muster {
namespace {

ncclDataType_t nccl_type(DType type) {
  switch (type) {
    case DType::u8:
    case DType::boolean:
      return ncclUint8;
    case DType::i8:
      return ncclInt8;
    case DType::i32:
      return ncclInt32;
    case DType::i64:
      return ncclInt64;
    case DType::f16:
      return ncclFloat16;
    case DType::bf16:
      return ncclBfloat16;
    case DType::f32:
      return ncclFloat32;
    case DType::f64:
      return ncclFloat64;
    case DType::i16:
      break;
  }
  throw Error(ExitCode::internal, "NCCL cannot reduce 16-bit integers", "convert them to i32 first");
}

ncclRedOp_t nccl_operation(ReduceOp op) {
  switch (op) {
    case ReduceOp::sum:
      return ncclSum;
    case ReduceOp::minimum:
      return ncclMin;
    case ReduceOp::maximum:
      return ncclMax;
  }
  throw_bug("op is a ReduceOp");
}

}  // namespace

class NcclCommunicator::Collective final : public Work {
 public:
  Collective(std::shared_ptr<NcclConnection> connection, std::shared_ptr<Event> end)
      : connection_(std::move(connection)), end_(std::move(end)) {}
  void wait() override { connection_->go_behind(*end_); }
  bool done() override { return connection_->is_done(*end_); }

 private:
  std::shared_ptr<NcclConnection> connection_;
  std::shared_ptr<Event> end_;
};

std::unique_ptr<DeviceCommunicator> NcclCommunicator::connect(Communicator& control,
                                                              const DeviceCommunicatorOptions& options) {
  ncclUniqueId id{};
  if (control.rank() == 0) check_nccl(nccl().get_unique_id(&id));
  control.broadcast(&id, sizeof id, 0)->wait();
  auto connection = std::make_shared<NcclConnection>(options);
  connection->open([&](ncclComm_t* comm) {
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    return nccl().comm_init_rank_config(comm, control.size(), id, control.rank(), &config);
  });
  return std::unique_ptr<DeviceCommunicator>(new NcclCommunicator(std::move(connection)));
}

NcclCommunicator::NcclCommunicator(std::shared_ptr<NcclConnection> connection)
    : connection_(std::move(connection)) {
  connection_->call([this](ncclComm_t comm) { return nccl().comm_user_rank(comm, &rank_); });
  connection_->call([this](ncclComm_t comm) { return nccl().comm_count(comm, &size_); });
}

NcclCommunicator::~NcclCommunicator() { connection_->close(); }

PendingWork NcclCommunicator::all_reduce(void* data, std::size_t count, DType type, ReduceOp op,
                                         ExchangeAlgorithm algorithm) {
  if (algorithm != ExchangeAlgorithm::library)
    throw Error(ExitCode::config, "between GPUs NCCL chooses how an all-reduce travels",
                "use the exchange algorithm 'library'; NCCL_ALGO in the environment is NCCL's own choice");
  return enqueue(count * size_of(type), [&](ncclComm_t comm, cudaStream_t stream) {
    return nccl().all_reduce(data, data, count, nccl_type(type), nccl_operation(op), comm, stream);
  });
}

PendingWork NcclCommunicator::all_gather(const void* in, std::size_t bytes, void* out) {
  return enqueue(bytes, [&](ncclComm_t comm, cudaStream_t stream) {
    return nccl().all_gather(in, out, bytes, ncclUint8, comm, stream);
  });
}

PendingWork NcclCommunicator::all_gather_v(const void* in, void* out,
                                           const std::vector<std::size_t>& bytes_of) {
  MUSTER_ASSERT(bytes_of.size() == static_cast<std::size_t>(size_));
  return enqueue(bytes_of[static_cast<std::size_t>(rank_)], [&](ncclComm_t comm, cudaStream_t stream) {
    // One broadcast from each rank, as one operation. The group is ended whatever happens inside.
    ncclResult_t result = nccl().group_start();
    auto* at = static_cast<std::byte*>(out);
    for (int root = 0; root < size_; ++root) {
      const std::size_t bytes = bytes_of[static_cast<std::size_t>(root)];
      if (bytes > 0 && (result == ncclSuccess || result == ncclInProgress))
        result = nccl().broadcast(in, at, bytes, ncclUint8, root, comm, stream);
      at += bytes;
    }
    const ncclResult_t ended = nccl().group_end();
    return result == ncclSuccess || result == ncclInProgress ? ended : result;
  });
}

PendingWork NcclCommunicator::reduce_scatter(const void* in, void* out, std::size_t count, DType type,
                                             ReduceOp op) {
  return enqueue(
      count * size_of(type) * static_cast<std::size_t>(size_), [&](ncclComm_t comm, cudaStream_t stream) {
        return nccl().reduce_scatter(in, out, count, nccl_type(type), nccl_operation(op), comm, stream);
      });
}

PendingWork NcclCommunicator::broadcast(void* data, std::size_t bytes, int root) {
  MUSTER_ASSERT(root >= 0 && root < size_);
  return enqueue(bytes, [&](ncclComm_t comm, cudaStream_t stream) {
    return nccl().broadcast(data, data, bytes, ncclUint8, root, comm, stream);
  });
}

void NcclCommunicator::barrier() {
  const auto start = std::chrono::steady_clock::now();
  const auto meeting = enqueue(0, [&](ncclComm_t comm, cudaStream_t stream) {
    return nccl().all_reduce(connection_->scratch(), connection_->scratch(), 1, ncclInt32, ncclMax, comm,
                             stream);
  });
  while (!meeting->done()) std::this_thread::sleep_for(kNcclPollEvery);
  traffic_.wait_seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::unique_ptr<Communicator> NcclCommunicator::split(int colour, int key) {
  MUSTER_ASSERT(colour >= 0);
  auto part = std::make_shared<NcclConnection>(connection_->options());
  part->set_caller(connection_->caller());
  part->open([&](ncclComm_t* made) {
    // The new communicator is there once the old one is done with the call, and takes over its configuration.
    connection_->call([&](ncclComm_t whole) { return nccl().comm_split(whole, colour, key, made, nullptr); });
    return ncclSuccess;
  });
  return std::unique_ptr<Communicator>(new NcclCommunicator(std::move(part)));
}

Traffic NcclCommunicator::traffic() const {
  Traffic traffic = traffic_;
  traffic.busy_seconds = connection_->busy_seconds();
  return traffic;
}

void NcclCommunicator::on_stream(void* stream) { connection_->set_caller(static_cast<cudaStream_t>(stream)); }

PendingWork NcclCommunicator::enqueue(std::size_t payload_bytes, const Issue& issue) {
  auto end = connection_->enqueue(issue);
  traffic_.payload_bytes += payload_bytes;
  ++traffic_.collectives;
  return std::make_shared<Collective>(connection_, std::move(end));
}

}  // namespace muster
