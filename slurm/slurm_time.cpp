#include <cctype>
#include <charconv>
#include <cstdio>
#include <limits>
#include <string_view>

#include "slurm/job_request.hpp"
#include "slurm/scontrol_text.hpp"

namespace muster {
namespace {

constexpr std::int64_t kMinute = 60, kHour = 3600, kDay = 86400;
/// Keeps every sum of the parts within 64 bits.
constexpr std::int64_t kLargestPart = 1'000'000'000'000;

std::optional<std::vector<std::int64_t>> numbers(std::string_view text) {
  std::vector<std::int64_t> found;
  for (const std::string& part : split_outside_brackets(text, ':')) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    if (part.empty() || error != std::errc() || end != part.data() + part.size() || value < 0 ||
        value > kLargestPart) {
      return std::nullopt;
    }
    found.push_back(value);
  }
  return found;
}

}  // namespace

std::optional<std::int64_t> parse_slurm_time(const std::string& text) {
  const std::string lower = lower_case(text);
  if (lower == "unlimited" || lower == "infinite") return std::numeric_limits<std::int64_t>::max();
  const std::size_t dash = text.find('-');
  if (dash != std::string::npos) {
    const auto days = numbers(std::string_view(text).substr(0, dash));
    const auto rest = numbers(std::string_view(text).substr(dash + 1));
    if (!days || days->size() != 1 || !rest || rest->size() > 3) return std::nullopt;
    constexpr std::int64_t kUnits[] = {kHour, kMinute, 1};
    std::int64_t seconds = days->front() * kDay;
    for (std::size_t i = 0; i < rest->size(); ++i) seconds += (*rest)[i] * kUnits[i];
    return seconds;
  }
  const auto parts = numbers(text);
  if (!parts) return std::nullopt;
  if (parts->size() == 1) return (*parts)[0] * kMinute;
  if (parts->size() == 2) return (*parts)[0] * kMinute + (*parts)[1];
  if (parts->size() == 3) return (*parts)[0] * kHour + (*parts)[1] * kMinute + (*parts)[2];
  return std::nullopt;
}

std::string format_slurm_time(std::int64_t seconds) {
  if (seconds == std::numeric_limits<std::int64_t>::max()) return "UNLIMITED";
  char clock[32];
  std::snprintf(clock, sizeof clock, "%02d:%02d:%02d", static_cast<int>(seconds % kDay / kHour),
                static_cast<int>(seconds % kHour / kMinute), static_cast<int>(seconds % kMinute));
  const std::int64_t days = seconds / kDay;
  return days > 0 ? std::to_string(days) + "-" + clock : clock;
}

}  // namespace muster
