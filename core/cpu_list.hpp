#pragma once
/// CPU numbers as text, the way the kernel and MUSTER_CPUS write them: "0-1,4".

#include <string>
#include <string_view>
#include <vector>

namespace muster {

/// Ascending runs are joined: {0, 1, 4} is "0-1,4". Keeps the order given.
std::string format_cpu_list(const std::vector<int>& cpus);

/// The reverse of format_cpu_list. Throws Error(internal) on text that is no CPU list.
std::vector<int> parse_cpu_list(std::string_view text);

/// Those that the calling thread may use, ascending.
std::vector<int> allowed_cpus();

}  // namespace muster
