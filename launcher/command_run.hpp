#pragma once
/// `muster run FILE`: does what is left of an experiment, and goes on where an earlier call stopped.

namespace CLI {
class App;
}

namespace muster {

/// Adds the subcommand to `app`; `exit_code` is set when it ran. Both must live as long as the app is used.
void add_run_command(CLI::App& app, int& exit_code);

}  // namespace muster
