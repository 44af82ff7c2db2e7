#pragma once
/// muster_cuda.so, seen from a test with the label gpu.

#include <filesystem>

namespace muster::testing {

/// In the folder above the program's, in a build as in a bundle.
inline std::filesystem::path cuda_module_of_test() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "muster_cuda.so";
}

}  // namespace muster::testing
