#include "launcher/placement.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace muster {

Slots numbered_slots(const std::string& host, int cpus, int gpus) {
  Slots slots;
  slots.host = host;
  for (int cpu = 0; cpu < cpus; ++cpu) slots.cpus.push_back(cpu);
  for (int gpu = 0; gpu < gpus; ++gpu) slots.gpus.push_back(std::to_string(gpu));
  return slots;
}

std::vector<std::string> Assignment::hosts() const {
  std::vector<std::string> names;
  for (const RankPlace& rank : ranks) {
    if (std::find(names.begin(), names.end(), rank.host) == names.end()) names.push_back(rank.host);
  }
  return names;
}

std::vector<int> Assignment::cpus() const {
  std::set<int> all;
  for (const RankPlace& rank : ranks) all.insert(rank.cpus.begin(), rank.cpus.end());
  return {all.begin(), all.end()};
}

std::vector<std::string> Assignment::gpus() const {
  std::vector<std::string> all;
  std::set<std::pair<std::string, std::string>> known;
  for (const RankPlace& rank : ranks) {
    for (const std::string& gpu : rank.gpus) {
      if (known.emplace(rank.host, gpu).second) all.push_back(gpu);
    }
  }
  return all;
}

}  // namespace muster
