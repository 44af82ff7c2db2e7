/// A plugin as a later muster would build it.

#include "runner/workload.hpp"

extern "C" __attribute__((visibility("default"))) const muster::WorkloadPlugin* muster_workload() {
  static const muster::WorkloadPlugin plugin{muster::kWorkloadAbi + 1, nullptr, nullptr};
  return &plugin;
}
