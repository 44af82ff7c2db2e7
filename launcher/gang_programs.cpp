#include "launcher/gang_programs.hpp"

#include <unistd.h>

#include <cstdlib>
#include <sstream>
#include <system_error>

#include "launcher/bundle.hpp"
#include "launcher/workload_catalog.hpp"

namespace muster {

namespace {

namespace fs = std::filesystem;

/// LibTorch, and what of CUDA lies beside a wheel's. In front of what the user's environment says: there may
/// lie another LibTorch.
std::string library_path_of(const fs::path& torch) {
  std::string path = (torch / "lib").string();
  std::error_code error;
  for (fs::directory_iterator item(torch.parent_path() / "nvidia", error), end; !error && item != end;
       item.increment(error)) {
    if (fs::exists(item->path() / "lib")) path += ":" + (item->path() / "lib").string();
  }
  const char* before = std::getenv("LD_LIBRARY_PATH");
  return before != nullptr && *before != '\0' ? path + ":" + before : path;
}

}  // namespace

std::filesystem::path program_folder() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path();
}

GangPrograms find_gang_programs(const std::filesystem::path& program_folder) {
  GangPrograms programs;
  programs.runner = program_folder / "muster-runner";
  programs.as_root = geteuid() == 0;
  const auto bundle = find_bundle(program_folder);
  if (!bundle) return programs;
  programs.mpirun = bundle->mpirun;
  programs.mpi_environment = bundle->mpi_environment;
  if (!find_command(programs.machine_mpirun, std::filesystem::current_path()))
    programs.machine_mpirun = programs.mpirun;
  try {
    programs.library_path = library_path_of(find_torch(bundle->torch));
  } catch (const Error& error) {
    programs.no_torch = error;
  }
  return programs;
}

void require_torch(const Task& task, const GangPrograms& programs) {
  if (programs.no_torch && task.plugin.parent_path() == built_in_workloads_folder()) throw *programs.no_torch;
}

std::optional<std::filesystem::path> find_command(const std::string& command,
                                                  const std::filesystem::path& folder) {
  const auto is_program = [](const std::filesystem::path& file) {
    return std::filesystem::is_regular_file(file) && access(file.c_str(), X_OK) == 0;
  };
  if (command.find('/') != std::string::npos) {
    const std::filesystem::path file = folder / command;
    return is_program(file) ? std::optional(file) : std::nullopt;
  }
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "/bin:/usr/bin" : path);
  for (std::string item; std::getline(folders, item, ':');) {
    const std::filesystem::path file = folder / (item.empty() ? "." : item) / command;
    if (is_program(file)) return file;
  }
  return std::nullopt;
}

}  // namespace muster
