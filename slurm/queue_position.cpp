#include "slurm/queue_position.hpp"

#include <cstdlib>
#include <tuple>
#include <vector>

#include "slurm/command.hpp"
#include "slurm/scontrol_text.hpp"

namespace muster {
namespace {

struct Waiting {
  int job = 0;
  long long priority = 0;
  int elements = 1;
};

/// "20_[0-3,7%2]" -> 5.
int count_elements(const std::string& id) {
  const std::size_t open = id.find('[');
  if (open == std::string::npos) return 1;
  int count = 0;
  for (const std::string& range :
       split_outside_brackets(id.substr(open + 1, id.find_first_of("%]") - open - 1), ',')) {
    const std::size_t dash = range.find('-');
    const int first = leading_number(range);
    const int last =
        dash == std::string::npos ? first : leading_number(std::string_view(range).substr(dash + 1));
    count += last >= first ? last - first + 1 : 1;
  }
  return count;
}

bool is_before(const Waiting& a, const Waiting& b) {
  return std::pair(-a.priority, a.job) < std::pair(-b.priority, b.job);
}

}  // namespace

std::optional<int> jobs_ahead_in(const std::string& text, const std::string& job) {
  std::vector<Waiting> waiting;
  std::optional<Waiting> own;
  for (const std::string& line : lines_of(text)) {
    const std::size_t bar = line.rfind('|');
    if (bar == std::string::npos || bar == 0) continue;
    const std::string id = line.substr(0, bar);
    const Waiting found{leading_number(id), std::atoll(line.c_str() + bar + 1), count_elements(id)};
    if (id.substr(0, id.find('_')) == job && !own) own = found;
    waiting.push_back(found);
  }
  if (!own) return std::nullopt;
  int ahead = 0;
  for (const Waiting& other : waiting) {
    if (is_before(other, *own)) ahead += other.elements;
  }
  return ahead;
}

std::optional<int> jobs_ahead(const JobStatus& status) {
  if (phase_of(status.state) != JobPhase::pending) return std::nullopt;
  std::vector<std::string> argv{"squeue", "--noheader", "--all", "--states=PENDING", "--format=%i|%Q"};
  if (!status.partition.empty()) argv.push_back("--partition=" + status.partition);
  const CommandResult shown = run_command(
      argv, "", std::chrono::seconds(30),
      {{"SLURM_BITSTR_LEN", "0"}, {"SQUEUE_USERS", ""}, {"SQUEUE_FORMAT", ""}, {"SQUEUE_SORT", ""}});
  return shown.ok() ? jobs_ahead_in(shown.out, status.job) : std::nullopt;
}

}  // namespace muster
