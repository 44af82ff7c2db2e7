#include "slurm/output_notes.hpp"

#include <string_view>

#include "slurm/scontrol_text.hpp"

namespace muster {
namespace {

struct Phrase {
  std::string_view text;  ///< lower case
  std::string_view state;
};

constexpr Phrase kCauses[] = {
    {"due to time limit", "TIMEOUT"},
    {"due to node failure", "NODE_FAIL"},
    {"due to preemption", "PREEMPTED"},
    {"oom_kill", "OUT_OF_MEMORY"},
    {"oom-kill", "OUT_OF_MEMORY"},
    {"out of memory", "OUT_OF_MEMORY"},
    {"exceeded job memory", "OUT_OF_MEMORY"},
    {"exceeded step memory", "OUT_OF_MEMORY"},
};

}  // namespace

std::string state_noted_in(const std::string& output) {
  std::string cause;
  bool cancelled = false;
  for (const std::string& line : lines_of(output)) {
    // A program may well write such words itself.
    if (!line.starts_with("slurmstepd") && !line.starts_with("srun: ") && !line.starts_with("slurmd"))
      continue;
    const std::string lower = lower_case(line);
    for (const Phrase& phrase : kCauses) {
      if (lower.find(phrase.text) != std::string::npos) cause = phrase.state;
    }
    cancelled = cancelled || lower.find("cancelled at") != std::string::npos;
  }
  if (cause.empty() && cancelled) return "CANCELLED";
  return cause;
}

}  // namespace muster
