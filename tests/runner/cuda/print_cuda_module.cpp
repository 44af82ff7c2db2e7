/// Loads the CUDA module that is given and prints what it says of this machine's devices and of NCCL.

#include <cstdio>
#include <functional>
#include <string>

#include "core/error.hpp"
#include "runner/cuda/load_module.hpp"

namespace {

/// What `say` returns, or the error with its code.
void print(const char* title, const std::function<std::string()>& say) {
  try {
    std::printf("%s: %s\n", title, say().c_str());
  } catch (const muster::Error& error) {
    std::printf("%s: error %d: %s\n", title, static_cast<int>(error.code()), error.what());
  }
}

}  // namespace

int main(int, char** argv) {
  const muster::CudaModule* cuda = nullptr;
  print("module", [&] {
    cuda = &muster::load_cuda_module(argv[1]);
    return "abi " + std::to_string(cuda->abi);
  });
  if (cuda == nullptr) return 1;
  print("devices", [&] { return std::to_string(cuda->count_devices()); });
  print("nccl", [&] { return cuda->describe_nccl(); });
}
