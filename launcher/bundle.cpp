#include "launcher/bundle.hpp"

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/durable_file.hpp"
#include "core/error.hpp"
#include "launcher/command_output.hpp"

namespace muster {

namespace {

namespace fs = std::filesystem;

/// The current folder is no place for packages.
constexpr const char* kFindTorch =
    "python3 -c 'import sys; sys.path = [p for p in sys.path if p]; import importlib.util; "
    "print(importlib.util.find_spec(\"torch\").submodule_search_locations[0])' 2>/dev/null";

/// A wheel says its version in a line of Python, PyTorch's LibTorch archive in a file of its own; "" where
/// neither is there.
std::string version_of(const fs::path& torch) {
  std::string version;
  std::ifstream archive(torch / "build-version");
  if (std::getline(archive, version)) return version;
  std::ifstream wheel(torch / "version.py");
  for (std::string line; std::getline(wheel, line);) {
    if (!line.starts_with("__version__")) continue;
    const auto first = line.find_first_of("'\"");
    const auto last = line.find_last_of("'\"");
    if (first < last) version = line.substr(first + 1, last - first - 1);
  }
  return version;
}

}  // namespace

std::optional<Bundle> find_bundle(const fs::path& program_folder) {
  const fs::path folder = program_folder.parent_path();
  const fs::path file = folder / "bundle.json";
  if (!fs::exists(file)) return std::nullopt;
  try {
    const auto json = nlohmann::json::parse(read_text(file));
    Bundle bundle{folder, json.at("mpi"), folder / json.at("mpirun"), {}, json.at("torch")};
    for (const auto& [name, path] : json.at("mpi_environment").items())
      bundle.mpi_environment[name] = (folder / path.get<std::string>()).string();
    return bundle;
  } catch (const nlohmann::json::exception& error) {
    throw Error(ExitCode::config, "'" + file.string() + "' cannot be understood: " + error.what(),
                "unpack the bundle again");
  }
}

fs::path find_torch(const std::string& version) {
  const std::string advice =
      "activate a Python environment with it (pip install torch==" + version +
      "), or set MUSTER_TORCH_ROOT to what python3 -c 'import torch; print(torch.__path__[0])' prints in one";
  const char* root = std::getenv("MUSTER_TORCH_ROOT");
  const bool is_given = root != nullptr && *root != '\0';
  const fs::path torch = is_given ? fs::absolute(root) : fs::path(first_line_of(kFindTorch));
  const std::string wanted = "this bundle's workloads need PyTorch " + version + ", and ";
  if (torch.empty() || !fs::exists(torch / "lib" / "libtorch_cpu.so")) {
    throw Error(ExitCode::workload,
                wanted + (is_given ? "there is no LibTorch in $MUSTER_TORCH_ROOT, '" + torch.string() + "'"
                                   : "the python3 on the PATH has no package torch"),
                advice);
  }
  const std::string found = version_of(torch);
  if (found.substr(0, found.find('+')) != version) {
    throw Error(ExitCode::workload,
                wanted + "'" + torch.string() + "' is " + (found.empty() ? "of no known version" : found),
                advice);
  }
  return torch;
}

}  // namespace muster
