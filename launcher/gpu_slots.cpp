#include "launcher/gpu_slots.hpp"

#include <algorithm>
#include <sstream>

namespace muster {

std::vector<std::string> gpu_slots(const std::vector<std::string>& found,
                                   const std::optional<std::string>& visible, std::optional<int> declared) {
  std::vector<std::string> slots;
  if (visible) {
    std::istringstream items(*visible);
    for (std::string item; std::getline(items, item, ',');) {
      // CUDA ends its list at the first entry that cannot be one.
      if (item.empty() || item == "-1" || item == "NoDevFiles") break;
      slots.push_back(item);
    }
  } else {
    slots = found;
  }
  if (!declared) return slots;
  const auto wanted = static_cast<std::size_t>(*declared);
  if (slots.size() > wanted) slots.resize(wanted);
  for (int index = 0; slots.size() < wanted; ++index) {
    const std::string name = std::to_string(index);
    if (std::find(slots.begin(), slots.end(), name) == slots.end()) slots.push_back(name);
  }
  return slots;
}

}  // namespace muster
