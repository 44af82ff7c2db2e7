/// A CUDA module as a later muster would build it.

#include "runner/cuda/module.hpp"

extern "C" __attribute__((visibility("default"))) const muster::CudaModule* muster_cuda() {
  static const muster::CudaModule cuda{muster::kCudaModuleAbi + 1, nullptr, nullptr, nullptr};
  return &cuda;
}
