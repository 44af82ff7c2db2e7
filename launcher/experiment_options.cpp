#include "launcher/experiment_options.hpp"

#include <CLI/CLI.hpp>
#include <string>

#include "core/run_paths.hpp"

namespace muster {

void add_experiment_options(CLI::App& command, ExperimentOptions& options) {
  options.runs = default_runs_root();
  command.add_option("FILE", options.file, "The experiment: a TOML file")->required();
  command.add_option("--runs", options.runs,
                     "Folder of all runs (else $MUSTER_RUNS, else results/runs below the current folder)");
  command.add_option("--cpus", options.cpus, "Use this many cores (else all that this process may use)")
      ->check(CLI::Range(1, 1 << 20));
  command.add_option("--gpus", options.gpus, "This many GPUs are there (else they are looked for)")
      ->check(CLI::Range(0, 1 << 20));
}

}  // namespace muster
