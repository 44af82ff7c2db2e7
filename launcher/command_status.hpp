#pragma once
/// `muster status`: how a run stands, by its files and, for a submitted one, by its jobs.

namespace CLI {
class App;
}

namespace muster {

/// Adds the subcommand to `app`; `exit_code` is set when it ran. Both must live as long as the app is used.
void add_status_command(CLI::App& app, int& exit_code);

}  // namespace muster
