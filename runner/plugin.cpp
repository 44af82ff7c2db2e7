#include "runner/plugin.hpp"

#include <dlfcn.h>

#include <string>

#include "core/durable_file.hpp"
#include "core/error.hpp"

namespace muster {
namespace {

[[noreturn]] void throw_plugin_error(const std::filesystem::path& file, const std::string& problem,
                                     const std::string& advice) {
  throw Error(ExitCode::workload, "workload '" + file.string() + "' " + problem, advice);
}

}  // namespace

const WorkloadPlugin& load_plugin(const std::filesystem::path& file) {
  if (!std::filesystem::is_regular_file(file))
    throw_plugin_error(file, "cannot be loaded: there is no such file", "build it, or correct its path");
  // Without a slash dlopen would search the system's folders.
  void* library = dlopen(std::filesystem::absolute(file).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* reason = dlerror();
    throw_plugin_error(file,
                       std::string("cannot be loaded: ") + (reason != nullptr ? reason : "unknown reason"),
                       "install the library it needs, or build it again on this machine");
  }
  using Entry = const WorkloadPlugin*();
  auto* entry = reinterpret_cast<Entry*>(dlsym(library, "muster_workload"));
  if (entry == nullptr)
    throw_plugin_error(file, "is no muster workload: it exports no function muster_workload",
                       "end one of its source files with MUSTER_WORKLOAD(Type) from runner/workload.hpp");
  const WorkloadPlugin* plugin = entry();
  if (plugin == nullptr)
    throw_plugin_error(file, "returns no plugin from muster_workload", "use MUSTER_WORKLOAD(Type)");
  if (plugin->abi != kWorkloadAbi)
    throw_plugin_error(file,
                       "was built for ABI " + std::to_string(plugin->abi) + " and this muster has ABI " +
                           std::to_string(kWorkloadAbi),
                       "build it again with the headers of this muster");
  if (plugin->schema == nullptr || plugin->create == nullptr)
    throw_plugin_error(file, "has no schema or no workload", "use MUSTER_WORKLOAD(Type)");
  return *plugin;
}

void describe_plugin(const std::filesystem::path& file, const std::filesystem::path& manifest) {
  write_durably(manifest, schema_to_json(load_plugin(file).schema()));
}

}  // namespace muster
