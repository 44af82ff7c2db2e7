#pragma once
/// Which NUMA nodes CPUs and devices of this host belong to, as the kernel tells in sysfs.

#include <filesystem>
#include <string>
#include <vector>

namespace muster {

/// Nodes that hold any of `cpus`, ascending. Empty where the kernel tells of none.
std::vector<int> numa_nodes_of(const std::vector<int>& cpus, const std::filesystem::path& sysfs = "/sys");

/// The node of a PCI device ("0000:17:00.0"); -1 where the kernel knows none or no such device.
int numa_node_of(const std::string& pci, const std::filesystem::path& sysfs = "/sys");

}  // namespace muster
