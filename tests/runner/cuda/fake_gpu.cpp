#include "fake_gpu.hpp"

#include <cuda_runtime_api.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "runner/cuda/first_kernel.hpp"

struct ncclComm {
  int rank = 0;
  int size = 1;
  int polls_left = 0;
  ncclComm_t* part = nullptr;  // A split's result, to be filled in when the call is done.
};

namespace muster::testing {

namespace {

std::mutex mutex;
std::vector<std::string> trace;
int events = 0;
int streams = 0;
double now = 0;  // In milliseconds.

struct Event {
  bool timed = false;
  std::optional<double> recorded;
};
std::map<cudaEvent_t, Event> living;

void note(const std::string& what) {
  const std::lock_guard lock(mutex);
  trace.push_back(what);
}

void pass(double milliseconds) {
  const std::lock_guard lock(mutex);
  now += milliseconds;
}

/// Handles are small numbers in a pointer's clothes.
template <typename Handle>
Handle handle(int number) {
  return reinterpret_cast<Handle>(static_cast<std::uintptr_t>(number));
}

std::string number(const void* of) { return std::to_string(reinterpret_cast<std::uintptr_t>(of)); }

ncclResult_t begin(ncclComm_t comm, const std::string& what) {
  note(what);
  pass(fake_gpu().nccl_milliseconds);
  comm->polls_left = fake_gpu().busy_polls;
  return comm->polls_left > 0 ? ncclInProgress : ncclSuccess;
}

std::string on(cudaStream_t stream) { return " on stream " + number(stream); }

}  // namespace

FakeGpu& fake_gpu() {
  static FakeGpu gpu;
  return gpu;
}

std::vector<std::string> take_trace() {
  const std::lock_guard lock(mutex);
  return std::exchange(trace, {});
}

void reset_fake_gpu() {
  FakeGpu& gpu = fake_gpu();
  gpu.busy_polls = 0;
  gpu.network = ncclSuccess;
  gpu.nccl_milliseconds = 0;
  gpu.clock = cudaSuccess;
  gpu.stuck = gpu.without_driver = gpu.too_old = false;
  const std::lock_guard lock(mutex);
  trace.clear();
  living.clear();
  events = 0;
  streams = 0;
  now = 0;
}

}  // namespace muster::testing

namespace muster {

cudaError_t clear_by_kernel(int*, cudaStream_t) {
  return testing::fake_gpu().too_old ? cudaErrorNoKernelImageForDevice : cudaSuccess;
}

}  // namespace muster

using namespace muster::testing;

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  *count = fake_gpu().without_driver ? 0 : 1;
  return fake_gpu().without_driver ? cudaErrorInsufficientDriver : cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int) { return cudaSuccess; }
cudaError_t cudaGetLastError() { return cudaSuccess; }
const char* cudaGetErrorString(cudaError_t code) {
  return code == cudaErrorInsufficientDriver ? "driver version is insufficient" : "an error";
}
cudaError_t cudaMalloc(void** memory, size_t) {
  *memory = handle<void*>(4096);
  return cudaSuccess;
}
cudaError_t cudaFree(void*) { return cudaSuccess; }
cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode*) { return cudaSuccess; }
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  if (flags != cudaStreamNonBlocking) return cudaErrorInvalidValue;
  *stream = handle<cudaStream_t>(++streams);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  const std::lock_guard lock(mutex);
  *event = handle<cudaEvent_t>(++events);
  living[*event] = {(flags & cudaEventDisableTiming) == 0, {}};
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  const std::lock_guard lock(mutex);
  living.erase(event);
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  note("event " + number(event) + on(stream));
  const std::lock_guard lock(mutex);
  living.at(event).recorded = now;
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  note("wait for event " + number(event) + on(stream));
  pass(1000);
  return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t) { return fake_gpu().stuck ? cudaErrorNotReady : cudaSuccess; }
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  if (fake_gpu().clock != cudaSuccess) return fake_gpu().clock;
  const std::lock_guard lock(mutex);
  for (cudaEvent_t event : {start, end})
    if (!living.contains(event) || !living[event].timed || !living[event].recorded)
      return cudaErrorInvalidResourceHandle;
  *milliseconds = static_cast<float>(*living[end].recorded - *living[start].recorded);
  return cudaSuccess;
}

ncclResult_t ncclGetVersion(int* version) {
  *version = 22809;
  return ncclSuccess;
}
const char* ncclGetErrorString(ncclResult_t) { return "remote process exited"; }
const char* ncclGetLastError(ncclComm_t) { return "socket closed"; }
ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  id->internal[0] = 42;
  note("unique id");
  return ncclSuccess;
}
ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int size, ncclUniqueId id, int rank,
                                    ncclConfig_t* config) {
  *comm = new ncclComm{rank, size, 0, nullptr};
  return begin(*comm, "init rank " + std::to_string(rank) + " of " + std::to_string(size) + " with id " +
                          std::to_string(id.internal[0]) + ", blocking " + std::to_string(config->blocking));
}
ncclResult_t ncclCommSplit(ncclComm_t comm, int color, int key, ncclComm_t* part, ncclConfig_t* config) {
  if (config != nullptr) return ncclInvalidArgument;
  *part = nullptr;
  comm->part = part;
  return begin(comm, "split " + std::to_string(color) + " " + std::to_string(key));
}
ncclResult_t ncclCommUserRank(const ncclComm_t comm, int* rank) {
  *rank = comm->rank;
  return ncclSuccess;
}
ncclResult_t ncclCommCount(const ncclComm_t comm, int* size) {
  *size = comm->size;
  return ncclSuccess;
}
ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* state) {
  if (comm == nullptr) return ncclInvalidArgument;
  if (comm->polls_left > 0) {
    --comm->polls_left;
    *state = ncclInProgress;
    return ncclSuccess;
  }
  if (comm->part != nullptr) *std::exchange(comm->part, nullptr) = new ncclComm;
  *state = fake_gpu().network;
  return ncclSuccess;
}
ncclResult_t ncclCommFinalize(ncclComm_t comm) { return begin(comm, "finalize"); }
ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  note("destroy");
  delete comm;
  return ncclSuccess;
}
ncclResult_t ncclCommAbort(ncclComm_t comm) {
  note("abort");
  delete comm;
  return ncclSuccess;
}
ncclResult_t ncclAllReduce(const void* in, void* out, size_t count, ncclDataType_t type, ncclRedOp_t op,
                           ncclComm_t comm, cudaStream_t stream) {
  return begin(comm, "all_reduce " + number(in) + " " + number(out) + " " + std::to_string(count) + " type " +
                         std::to_string(type) + " op " + std::to_string(op) + on(stream));
}
ncclResult_t ncclAllGather(const void* in, void* out, size_t count, ncclDataType_t type, ncclComm_t comm,
                           cudaStream_t stream) {
  return begin(comm, "all_gather " + number(in) + " " + number(out) + " " + std::to_string(count) + " type " +
                         std::to_string(type) + on(stream));
}
ncclResult_t ncclReduceScatter(const void* in, void* out, size_t count, ncclDataType_t type, ncclRedOp_t op,
                               ncclComm_t comm, cudaStream_t stream) {
  return begin(comm, "reduce_scatter " + number(in) + " " + number(out) + " " + std::to_string(count) +
                         " type " + std::to_string(type) + " op " + std::to_string(op) + on(stream));
}
ncclResult_t ncclBroadcast(const void* in, void* out, size_t count, ncclDataType_t type, int root,
                           ncclComm_t comm, cudaStream_t stream) {
  return begin(comm, "broadcast " + number(in) + " " + number(out) + " " + std::to_string(count) + " type " +
                         std::to_string(type) + " from " + std::to_string(root) + on(stream));
}
ncclResult_t ncclGroupStart() {
  note("group");
  return ncclSuccess;
}
ncclResult_t ncclGroupEnd() {
  note("end of group");
  return ncclSuccess;
}
}
