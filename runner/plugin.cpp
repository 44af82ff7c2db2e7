#include "runner/plugin.hpp"

#include <string>

#include "core/durable_file.hpp"
#include "core/error.hpp"
#include "core/shared_object.hpp"

namespace muster {

const WorkloadPlugin& load_plugin(const std::filesystem::path& file) {
  const SharedObject object(
      "workload", file,
      {"build it, or correct its path", "install the library it needs, or build it again on this machine"});
  using Entry = const WorkloadPlugin*();
  auto* entry = reinterpret_cast<Entry*>(object.symbol("muster_workload"));
  if (entry == nullptr)
    object.refuse("is no muster workload: it exports no function muster_workload",
                  "end one of its source files with MUSTER_WORKLOAD(Type) from runner/workload.hpp");
  const WorkloadPlugin* plugin = entry();
  if (plugin == nullptr) object.refuse("returns no plugin from muster_workload", "use MUSTER_WORKLOAD(Type)");
  object.require_abi(plugin->abi, kWorkloadAbi, "build it again with the headers of this muster");
  if (plugin->schema == nullptr || plugin->create == nullptr)
    object.refuse("has no schema or no workload", "use MUSTER_WORKLOAD(Type)");
  return *plugin;
}

void describe_plugin(const std::filesystem::path& file, const std::filesystem::path& manifest) {
  write_durably(manifest, schema_to_json(load_plugin(file).schema()));
}

}  // namespace muster
