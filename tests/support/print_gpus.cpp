/// Prints what NVML shows, NAME|UUID|PCI|BYTES a line; of "slots" what ranks can be given; or of each name
/// that is given UUID|PCI|MEMORY USED|UTILISATION|WATTS|JOULES, or "missing".

#include <cstdio>

#include "core/nvml.hpp"

int main(int argc, char** argv) {
  const muster::Nvml nvml;
  if (argc == 1) {
    for (const auto& gpu : nvml.gpus())
      std::printf("%s|%s|%s|%.0f\n", gpu.name.c_str(), gpu.uuid.c_str(), gpu.pci.c_str(), gpu.memory);
  }
  for (int at = 1; at < argc; ++at) {
    if (std::string(argv[at]) == "slots") {
      for (const std::string& slot : nvml.slots()) std::printf("%s\n", slot.c_str());
      continue;
    }
    const auto gpu = nvml.find(argv[at]);
    const auto reading = gpu ? nvml.read(gpu->uuid) : std::nullopt;
    if (!reading) {
      std::printf("missing\n");
      continue;
    }
    std::printf("%s|%s|%.0f|%.2f|%.3f|%.3f\n", gpu->uuid.c_str(), gpu->pci.c_str(),
                reading->memory_used.value_or(-1), reading->utilisation.value_or(-1),
                reading->power.value_or(-1), reading->energy.value_or(-1));
  }
}
