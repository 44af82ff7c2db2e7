#include "launcher/newest_run.hpp"

#include <filesystem>
#include <string>
#include <system_error>

namespace muster {

std::optional<RunPaths> newest_run(const ExperimentPaths& experiment) {
  namespace fs = std::filesystem;
  std::string newest;
  std::error_code error;
  for (fs::directory_iterator item(experiment.folder(), error), end; !error && item != end;
       item.increment(error)) {
    const std::string name = item->path().filename().string();
    std::error_code ignored;
    if (name > newest && name.starts_with("2") && fs::exists(experiment.run(name).plan(), ignored))
      newest = name;
  }
  if (newest.empty()) return std::nullopt;
  return experiment.run(newest);
}

}  // namespace muster
