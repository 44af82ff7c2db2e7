#pragma once
/// `muster weights`: what a file of weights holds, and the same as .safetensors.

namespace CLI {
class App;
}

namespace muster {

/// Adds the subcommand to `app`; `exit_code` is set when it ran. Both must live as long as the app is used.
void add_weights_command(CLI::App& app, int& exit_code);

}  // namespace muster
