#pragma once
/// `muster submit FILE`: asks Slurm for the jobs that do what is left of an experiment.

namespace CLI {
class App;
}

namespace muster {

/// Adds the subcommand to `app`; `exit_code` is set when it ran. Both must live as long as the app is used.
void add_submit_command(CLI::App& app, int& exit_code);

}  // namespace muster
