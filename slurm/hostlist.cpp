/// Slurm's short form of many host names.

#include <charconv>
#include <string_view>

#include "slurm/job_state.hpp"
#include "slurm/scontrol_text.hpp"

namespace muster {
namespace {

/// A range that is longer is damage, not a cluster.
constexpr long long kMostHosts = 1'000'000;

std::optional<long long> number(std::string_view digits) {
  long long value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

/// "08-11" -> 08 09 10 11; what is no range stays as it is.
std::vector<std::string> expand_range(const std::string& range) {
  const std::size_t dash = range.find('-');
  const auto first = number(std::string_view(range).substr(0, dash));
  const auto last =
      dash == std::string::npos ? std::nullopt : number(std::string_view(range).substr(dash + 1));
  if (!first || !last || *first < 0 || *last < *first || *last - *first >= kMostHosts) return {range};
  std::vector<std::string> numbers;
  for (long long value = *first; value <= *last; ++value) {
    const std::string digits = std::to_string(value);
    numbers.push_back(std::string(dash > digits.size() ? dash - digits.size() : 0, '0') + digits);
  }
  return numbers;
}

void expand(const std::string& text, const std::string& prefix, std::vector<std::string>& hosts) {
  const std::size_t open = text.find('[');
  const std::size_t close = text.find(']', open);
  if (open == std::string::npos || close == std::string::npos) {
    hosts.push_back(prefix + text);
    return;
  }
  for (const std::string& range : split_outside_brackets(text.substr(open + 1, close - open - 1), ',')) {
    for (const std::string& digits : expand_range(range)) {
      expand(text.substr(close + 1), prefix + text.substr(0, open) + digits, hosts);
    }
  }
}

}  // namespace

std::vector<std::string> expand_hostlist(const std::string& text) {
  std::vector<std::string> hosts;
  for (const std::string& part : split_outside_brackets(text, ',')) {
    if (!part.empty()) expand(part, "", hosts);
  }
  return hosts;
}

}  // namespace muster
