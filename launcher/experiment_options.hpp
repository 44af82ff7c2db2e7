#pragma once
/// What every subcommand that reads an experiment asks for on the command line.

#include <filesystem>
#include <optional>

namespace CLI {
class App;
}

namespace muster {

struct ExperimentOptions {
  std::filesystem::path file;  ///< FILE
  std::filesystem::path runs;  ///< --runs DIR
  std::optional<int> cpus;     ///< --cpus N: so many cores are used; those there are where not given
  std::optional<int> gpus;     ///< --gpus N: so many GPUs are there; looked for where not given
};

/// Adds FILE, --runs, --cpus and --gpus to `command`. `options` must live as long as it.
void add_experiment_options(CLI::App& command, ExperimentOptions& options);

}  // namespace muster
