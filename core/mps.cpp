#include "core/mps.hpp"

#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "core/error.hpp"

namespace muster {

void require_mps() {
  const char* given = std::getenv("CUDA_MPS_PIPE_DIRECTORY");
  const std::filesystem::path folder = given != nullptr && *given != '\0' ? given : "/tmp/nvidia-mps";
  std::error_code error;
  const auto status = std::filesystem::status(folder / "control", error);
  if (std::filesystem::is_fifo(status) || std::filesystem::is_socket(status)) return;
  throw Error(ExitCode::resources,
              "gpu_sharing is \"mps\", but no MPS daemon runs here: there is no control pipe '" +
                  (folder / "control").string() + "'",
              "start one with 'nvidia-cuda-mps-control -d', or name the folder of its pipes in "
              "CUDA_MPS_PIPE_DIRECTORY, or set gpu_sharing = \"time-slicing\"");
}

}  // namespace muster
