#include "runner/cuda/module.hpp"

#include "runner/cuda/cuda_device.hpp"
#include "runner/cuda/nccl_communicator.hpp"
#include "runner/cuda/nccl_library.hpp"

extern "C" __attribute__((visibility("default"))) const muster::CudaModule* muster_cuda() {
  static const muster::CudaModule table{muster::kCudaModuleAbi, [] { return muster::nccl().description; },
                                        &muster::count_devices, &muster::NcclCommunicator::connect};
  return &table;
}
