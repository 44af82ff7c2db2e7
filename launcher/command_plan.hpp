#pragma once
/// `muster plan FILE`: what a run would do, without doing any of it.

namespace CLI {
class App;
}

namespace muster {

/// Adds the subcommand to `app`; `exit_code` is set when it ran. Both must live as long as the app is used.
void add_plan_command(CLI::App& app, int& exit_code);

}  // namespace muster
