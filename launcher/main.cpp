#include <CLI/CLI.hpp>
#include <string>

#include "core/error.hpp"
#include "core/error_report.hpp"
#include "core/version.hpp"
#include "launcher/command_cancel.hpp"
#include "launcher/command_continue.hpp"
#include "launcher/command_explain.hpp"
#include "launcher/command_logs.hpp"
#include "launcher/command_plan.hpp"
#include "launcher/command_run.hpp"
#include "launcher/command_status.hpp"
#include "launcher/command_submit.hpp"
#include "launcher/command_watch.hpp"
#include "launcher/command_weights.hpp"
#include "launcher/usage_error.hpp"

namespace muster {

/// Each add_NAME_command sets `exit_code` when its subcommand ran.
int run_command_line(int argc, char** argv) {
  CLI::App app("Turns an experiment matrix into finished, analysable training runs.", "muster");
  app.set_version_flag("--version", std::string("muster ") + version());
  app.require_subcommand(1);
  app.footer("Example: muster run experiments/quickstart.toml");
  int exit_code = static_cast<int>(ExitCode::ok);
  add_plan_command(app, exit_code);
  add_run_command(app, exit_code);
  add_submit_command(app, exit_code);
  add_continue_command(app, exit_code);
  add_status_command(app, exit_code);
  add_watch_command(app, exit_code);
  add_logs_command(app, exit_code);
  add_explain_command(app, exit_code);
  add_cancel_command(app, exit_code);
  add_weights_command(app, exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) throw usage_error(app, error);
    app.exit(error);  // Prints what --help or --version asked for.
  }
  return exit_code;
}

}  // namespace muster

int main(int argc, char** argv) {
  try {
    return muster::run_command_line(argc, argv);
  } catch (...) {
    return muster::report_current_exception("muster");
  }
}
