#pragma once
/// `muster logs`: a run's log or one task's, by their files alone.

namespace CLI {
class App;
}

namespace muster {

/// Adds the subcommand to `app`; `exit_code` is set when it ran. Both must live as long as the app is used.
void add_logs_command(CLI::App& app, int& exit_code);

}  // namespace muster
