#include "launcher/tasks_text.hpp"

#include <algorithm>

namespace muster {

std::string tasks_text(std::vector<int> numbers, std::size_t most) {
  std::sort(numbers.begin(), numbers.end());
  std::string text;
  std::size_t parts = 0;
  for (std::size_t i = 0; i < numbers.size();) {
    if (parts++ == most) return text + " and " + std::to_string(numbers.size() - i) + " more";
    std::size_t last = i;
    while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
    text += (text.empty() ? "task-" : ", task-") + std::to_string(numbers[i]);
    if (last > i) text += (last > i + 1 ? " to task-" : ", task-") + std::to_string(numbers[last]);
    i = last + 1;
  }
  return text;
}

}  // namespace muster
