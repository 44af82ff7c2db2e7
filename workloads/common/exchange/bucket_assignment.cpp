#include "workloads/common/exchange/bucket_assignment.hpp"

#include <charconv>

#include "core/error.hpp"

namespace muster::workloads {
namespace {

[[noreturn]] void throw_damaged(const std::string& why) {
  throw Error(ExitCode::checkpoint, "the checkpoint's bucket assignment " + why,
              "remove the checkpoints that another network or version wrote, and start again");
}

}  // namespace

std::string to_text(const BucketAssignment& assignment) {
  std::string text = assignment.settled ? "settled " : "initial ";
  for (std::size_t b = 0; b < assignment.buckets.size(); ++b) {
    if (b > 0) text += ';';
    for (std::size_t i = 0; i < assignment.buckets[b].size(); ++i) {
      if (i > 0) text += ',';
      text += std::to_string(assignment.buckets[b][i]);
    }
  }
  return text;
}

BucketAssignment bucket_assignment_from(const std::string& text, std::size_t parameters) {
  BucketAssignment assignment;
  const auto space = text.find(' ');
  const std::string word = text.substr(0, space);
  if (space == std::string::npos || (word != "settled" && word != "initial")) throw_damaged("cannot be read");
  assignment.settled = word == "settled";

  std::vector<bool> seen(parameters, false);
  const char* at = text.data() + space + 1;
  const char* const end = text.data() + text.size();
  assignment.buckets.emplace_back();
  while (true) {
    std::size_t index = 0;
    const auto [next, problem] = std::from_chars(at, end, index);
    if (problem != std::errc{}) throw_damaged("cannot be read");
    if (index >= parameters || seen[index]) throw_damaged("does not fit this network");
    seen[index] = true;
    assignment.buckets.back().push_back(index);
    if (next == end) break;
    if (*next != ',' && *next != ';') throw_damaged("cannot be read");
    if (*next == ';') assignment.buckets.emplace_back();
    at = next + 1;
  }
  for (const bool each : seen) {
    if (!each) throw_damaged("does not fit this network");
  }
  return assignment;
}

}  // namespace muster::workloads
