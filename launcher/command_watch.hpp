#pragma once
/// `muster watch`: follows a run till it is over, from files and a rare look at the queue.

namespace CLI {
class App;
}

namespace muster {

/// Adds the subcommand to `app`; `exit_code` is set when it ran. Both must live as long as the app is used.
void add_watch_command(CLI::App& app, int& exit_code);

}  // namespace muster
