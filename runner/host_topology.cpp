#include "runner/host_topology.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>

#include "core/cpu_list.hpp"

namespace muster {
namespace {

/// The number behind "node"; -1 for "online", "possible" and the like.
int node_number(const std::string& entry) {
  int number = -1;
  if (!entry.starts_with("node")) return -1;
  const auto [end, error] = std::from_chars(entry.data() + 4, entry.data() + entry.size(), number);
  return error == std::errc() && end == entry.data() + entry.size() ? number : -1;
}

}  // namespace

std::vector<int> numa_nodes_of(const std::vector<int>& cpus, const std::filesystem::path& sysfs) {
  std::vector<int> nodes;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(sysfs / "devices/system/node", none)) {
    const int node = node_number(entry.path().filename().string());
    std::string list;
    // A node of memory alone has an empty list.
    if (node < 0 || !std::getline(std::ifstream(entry.path() / "cpulist"), list)) continue;
    const std::vector<int> of_node = parse_cpu_list(list);
    if (std::ranges::find_first_of(of_node, cpus) != of_node.end()) nodes.push_back(node);
  }
  std::ranges::sort(nodes);
  return nodes;
}

int numa_node_of(const std::string& pci, const std::filesystem::path& sysfs) {
  int node = -1;
  std::ifstream file(sysfs / "bus/pci/devices" / pci / "numa_node");
  return file >> node ? node : -1;
}

}  // namespace muster
