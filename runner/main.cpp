/// muster-runner: what each rank of a gang executes.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "core/error.hpp"
#include "core/error_report.hpp"
#include "core/version.hpp"
#include "runner/gang_task.hpp"
#include "runner/plugin.hpp"
#include "runner/stop_signals.hpp"

namespace muster {
namespace {

int run(int argc, char** argv) {
  CLI::App app("Runs one rank of a task, or describes a workload. `muster run` starts it.", "muster-runner");
  app.set_version_flag("--version", std::string("muster-runner ") + version());
  std::filesystem::path task_folder;
  std::filesystem::path plugin;
  std::filesystem::path manifest;
  int attempt = 0;
  auto* task = app.add_option("--task", task_folder, "Folder of the task to run")->type_name("FOLDER");
  auto* number = app.add_option("--attempt", attempt, "Number of the attempt")->check(CLI::PositiveNumber);
  auto* describe =
      app.add_option("--describe", plugin, "Load a workload and write its schema")->type_name("SO");
  auto* output = app.add_option("--output", manifest, "Where --describe writes to")->type_name("JSON");
  task->needs(number)->excludes(describe);
  number->needs(task);
  describe->needs(output);
  output->needs(describe);
  try {
    app.parse(argc, argv);
    if (!*task && !*describe)
      throw CLI::RequiredError("--task FOLDER --attempt N, or --describe SO --output JSON,");
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(ExitCode::usage);
  }
  if (*describe) {
    describe_plugin(plugin, manifest);
    return 0;
  }
  const int status = run_gang_task(task_folder, attempt);
  // All is closed. A return would have LibTorch take its operators apart, a tenth of a second for each rank.
  std::fflush(nullptr);
  std::_Exit(status);
}

}  // namespace
}  // namespace muster

int main(int argc, char** argv) {
  muster::catch_stop_signals();
  muster::die_with_parent();
  try {
    return muster::run(argc, argv);
  } catch (...) {
    return muster::report_current_exception("muster-runner");
  }
}
