#pragma once
/// `muster continue RUN`: goes on with a run as it was planned, whatever has become of its experiment file.
/// What the jobs of `muster submit` execute.

namespace CLI {
class App;
}

namespace muster {

/// Adds the subcommand to `app`; `exit_code` is set when it ran. Both must live as long as the app is used.
void add_continue_command(CLI::App& app, int& exit_code);

}  // namespace muster
