#include "launcher/workload_catalog.hpp"

#include <algorithm>
#include <string>
#include <system_error>
#include <vector>

#include "core/error.hpp"
#include "core/nearest_name.hpp"

namespace muster {

namespace {

namespace fs = std::filesystem;

std::vector<std::string> built_in_names(const fs::path& folder) {
  std::vector<std::string> names{"exec"};
  std::error_code error;
  for (fs::directory_iterator item(folder, error), end; !error && item != end; item.increment(error)) {
    if (item->path().extension() == ".json") names.push_back(item->path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

SourcePlace place_of_workload(const Experiment& experiment) {
  const auto found = experiment.places.find("workload");
  return found == experiment.places.end() ? SourcePlace{experiment.file} : found->second;
}

void check_manifest_age(const fs::path& plugin, const fs::path& manifest) {
  std::error_code error;
  const auto plugin_time = fs::last_write_time(plugin, error);
  if (error) return;
  const auto manifest_time = fs::last_write_time(manifest, error);
  if (error || manifest_time >= plugin_time) return;
  throw Error(ExitCode::workload, "the manifest '" + manifest.string() + "' is older than its plugin",
              "make it with: muster-runner --describe " + plugin.string() + " --output " + manifest.string());
}

FoundWorkload find_own(const Experiment& experiment) {
  const fs::path plugin =
      fs::absolute(experiment.file.parent_path() / experiment.workload).lexically_normal();
  if (!fs::is_regular_file(plugin))
    throw Error(ExitCode::workload, "there is no plugin '" + plugin.string() + "'",
                "build it, or correct the path; a relative one starts at the experiment's file",
                place_of_workload(experiment));
  const fs::path manifest = fs::path(plugin).replace_extension(".json");
  check_manifest_age(plugin, manifest);
  return {read_schema(manifest), plugin};
}

}  // namespace

fs::path built_in_workloads_folder() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  return (program.parent_path().parent_path() / "lib" / "muster" / "workloads").lexically_normal();
}

FoundWorkload find_workload(const Experiment& experiment, const fs::path& built_in_folder) {
  const std::string& name = experiment.workload;
  if (name == "exec") {
    WorkloadSchema schema;
    schema.name = "exec";
    schema.open = true;
    return {schema, {}};
  }
  if (name.find('/') != std::string::npos || name.ends_with(".so")) return find_own(experiment);
  const std::vector<std::string> known = built_in_names(built_in_folder);
  if (std::find(known.begin(), known.end(), name) == known.end()) {
    std::string list;
    for (const std::string& candidate : known) list += (list.empty() ? "" : ", ") + candidate;
    const auto nearest = nearest_name(name, known);
    throw Error(ExitCode::config, "there is no workload '" + name + "'",
                (nearest ? "did you mean '" + *nearest + "'? known are: " : "known are: ") + list +
                    "; your own is a path, as \"./mine.so\"",
                place_of_workload(experiment));
  }
  const fs::path plugin = built_in_folder / (name + ".so");
  if (!fs::is_regular_file(plugin))
    throw Error(ExitCode::workload, "the plugin '" + plugin.string() + "' is missing beside its manifest",
                "build muster again");
  return {read_schema(built_in_folder / (name + ".json")), plugin};
}

std::vector<FoundWorkload> find_workloads(const Experiment& experiment, const fs::path& built_in_folder) {
  if (experiment.stages.empty()) return {find_workload(experiment, built_in_folder)};
  std::vector<FoundWorkload> found;
  for (const Experiment& stage : experiment.stages) found.push_back(find_workload(stage, built_in_folder));
  return found;
}

}  // namespace muster
