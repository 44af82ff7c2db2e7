#pragma once
/// An archive of `./dev bundle`, unpacked (docs/bundle.md): what it carries to start ranks with, and the
/// LibTorch that it wants of the machine.

#include <filesystem>
#include <map>
#include <optional>
#include <string>

namespace muster {

/// What its bundle.json says.
struct Bundle {
  std::filesystem::path folder;
  std::string mpi;  ///< name and version of the MPI that it carries
  std::filesystem::path mpirun;
  std::map<std::string, std::string>
      mpi_environment;  ///< of that mpirun, and of all that is linked to its MPI
  std::string torch;    ///< version of the LibTorch that its workloads were built against: "2.11.0"
};

/// nullopt where no bundle.json lies above `program_folder`, as in a built and in an installed tree. Throws
/// Error(config) where it cannot be understood.
std::optional<Bundle> find_bundle(const std::filesystem::path& program_folder);

/// The folder of the machine's own LibTorch: $MUSTER_TORCH_ROOT, else where the PATH's python3 has its
/// package torch, which is not imported. Throws Error(workload) where there is none, or one of another
/// version than `version`. What stands behind a '+' in its own (+cpu, +cu130) does not count.
std::filesystem::path find_torch(const std::string& version);

}  // namespace muster
