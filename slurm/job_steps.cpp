#include "slurm/job_steps.hpp"

#include <sstream>
#include <vector>

#include "slurm/command.hpp"

namespace muster {

int cancel_steps(const std::string& job, const std::string& step_name) {
  const CommandResult listed =
      run_command({"squeue", "--noheader", "--steps", "--jobs", job, "--format=%i|%j"});
  if (!listed.ok()) return 0;
  std::vector<std::string> argv{"scancel", "--signal=KILL"};
  const std::size_t options = argv.size();
  std::istringstream lines(listed.out);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t bar = line.find('|');
    if (bar != std::string::npos && line.substr(bar + 1) == step_name) argv.push_back(line.substr(0, bar));
  }
  if (argv.size() > options) run_command(argv);
  return static_cast<int>(argv.size() - options);
}

}  // namespace muster
