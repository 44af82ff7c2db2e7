/// Prints what probe_gpus finds: NAME|UUID|BYTES a line.

#include <cstdio>

#include "launcher/gpu_probe.hpp"

int main() {
  for (const auto& gpu : muster::probe_gpus()) {
    std::printf("%s|%s|%.0f\n", gpu.name.c_str(), gpu.uuid.c_str(), gpu.memory);
  }
}
