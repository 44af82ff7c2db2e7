#pragma once
/// `muster explain`: why a task or a run stands as it does, in plain words.

namespace CLI {
class App;
}

namespace muster {

/// Adds the subcommand to `app`; `exit_code` is set when it ran. Both must live as long as the app is used.
void add_explain_command(CLI::App& app, int& exit_code);

}  // namespace muster
