#pragma once
/// Tasks by their numbers, in few words.

#include <string>
#include <vector>

namespace muster {

/// "task-0, task-4 to task-7"; of more than `most` such parts the rest is counted: "and 12 more". Sorts
/// numbers.
std::string tasks_text(std::vector<int> numbers, std::size_t most = 4);

}  // namespace muster
