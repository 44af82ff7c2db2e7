#include "launcher/newest_run.hpp"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <string>
#include <system_error>

namespace muster {

std::vector<RunPaths> runs_of(const ExperimentPaths& experiment) {
  namespace fs = std::filesystem;
  std::vector<RunPaths> runs;
  std::error_code error;
  for (fs::directory_iterator item(experiment.folder(), error), end; !error && item != end;
       item.increment(error)) {
    const std::string name = item->path().filename().string();
    const bool is_time = std::isdigit(static_cast<unsigned char>(name.front())) != 0;
    std::error_code ignored;
    if (is_time && fs::exists(experiment.run(name).plan(), ignored)) runs.push_back(experiment.run(name));
  }
  std::sort(runs.begin(), runs.end(),
            [](const RunPaths& a, const RunPaths& b) { return a.folder() > b.folder(); });
  return runs;
}

std::optional<RunPaths> newest_run(const ExperimentPaths& experiment) {
  const auto runs = runs_of(experiment);
  return runs.empty() ? std::nullopt : std::optional(runs.front());
}

}  // namespace muster
