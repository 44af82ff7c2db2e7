#pragma once
/// `muster` as its users start it: real processes, an experiment of commands, a folder of its own.

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/processes.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster::testing {

/// One start or end of a task's command, as counting_script writes it.
struct Stamp {
  std::string what;  ///< "start" or "end"
  std::string task;  ///< the parameter n
  double time = 0;
};

class MusterTest : public ::testing::Test {
 protected:
  ~MusterTest() override;

  /// Writes experiment.toml: `tasks` cells of a parameter n, each running `script` in bash with n in $N.
  void experiment(const std::string& script, int tasks, const std::string& more = "");

  /// A script that appends a line at its start and at its end to `stamps`, and sleeps in between.
  std::string counting_script(double seconds) const;
  std::vector<Stamp> stamps() const;
  /// No task was ever run by two at once, none ran again after it had ended well, and all of `tasks` ended
  /// well.
  void expect_each_done_once(int tasks) const;

  std::unique_ptr<Process> start(std::vector<std::string> arguments,
                                 std::map<std::string, std::string> environment = {});
  std::unique_ptr<Process> start_run() { return start({"run", "experiment.toml"}); }
  /// The exit code; output() and errors() hold what it printed.
  int run(std::vector<std::string> arguments = {"run", "experiment.toml"}, double seconds = 40);
  std::string output() const { return text_of(root_ / "output"); }
  std::string errors() const { return text_of(root_ / "errors"); }

  std::vector<std::filesystem::path> run_folders() const;
  std::filesystem::path task_folder(const std::string& label) const;
  nlohmann::json status();

  TemporaryFolder root_;
};

}  // namespace muster::testing
