#pragma once
/// `muster cancel`: ends the jobs of a run, saving what can be saved.

namespace CLI {
class App;
}

namespace muster {

/// Adds the subcommand to `app`; `exit_code` is set when it ran. Both must live as long as the app is used.
void add_cancel_command(CLI::App& app, int& exit_code);

}  // namespace muster
