#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/run_paths.hpp"
#include "launcher/plan.hpp"
#include "tests/support/processes.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

namespace fs = std::filesystem;
using testing::Process;
using testing::TemporaryFolder;
using testing::text_of;
using testing::write_text;

/// The real command, on an experiment in a folder of its own.
class PlanCommand : public ::testing::Test {
 protected:
  /// Exit code; the output is in output() and errors().
  int muster(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), MUSTER_PROGRAM);
    fs::remove(folder_ / "out");
    fs::remove(folder_ / "err");
    return Process(arguments, {.environment = {{"MUSTER_RUNS", ""}},
                               .working_folder = folder_.path(),
                               .output = folder_ / "out",
                               .errors = folder_ / "err"})
        .wait();
  }
  std::string output() const { return text_of(folder_ / "out"); }
  std::string errors() const { return text_of(folder_ / "err"); }
  void write_experiment(const std::string& text) const {
    write_text(folder_ / "x.toml", "name = \"x\"\nworkload = \"exec\"\ncommand = [\"true\"]\n" + text);
  }

  TemporaryFolder folder_;
};

TEST_F(PlanCommand, PrintsATableAndMakesNothing) {
  write_experiment("[resources]\ncpus_per_rank = 1\n[matrix.grid]\nnetwork = [\"a\", \"long-name\"]\n");
  ASSERT_EQ(muster({"plan", "x.toml", "--cpus", "1", "--gpus", "4"}), 0) << errors();
  EXPECT_EQ(output(),
            "task    label      id            ranks  cpus  gpus  state\n"
            "task-0  a          1559fd6e47cc      1     1     0  new\n"
            "task-1  long-name  79847ee2a878      1     1     0  new\n"
            "2 tasks, 0 done; room: 1 CPU, 4 GPUs\n");
  EXPECT_FALSE(fs::exists(folder_ / "results"));
}

TEST_F(PlanCommand, TellsWhatIsDoneAndWhatHasACheckpoint) {
  write_experiment("[matrix.grid]\nseed = [0, 1, 2, 3]\n");
  ASSERT_EQ(muster({"plan", "x.toml", "--json", "--runs", "r"}), 0) << errors();
  auto json = nlohmann::json::parse(output());
  const auto task = [&](int number) {
    return ExperimentPaths(folder_ / "r", "x").task(json["tasks"][number]["folder"].get<std::string>());
  };
  write_text(task(0).done(), "{}");
  write_text(task(1).checkpoints() / "step-000000000120" / "manifest.json", "{}");
  write_text(task(1).checkpoints() / "step-000000000180" / "shared.safetensors", "half made");
  fs::create_directories(task(2).attempt(2));
  ASSERT_EQ(muster({"plan", "x.toml", "--runs", "r"}), 0) << errors();
  const std::string text = output();
  EXPECT_NE(text.find("  done\n"), std::string::npos) << text;
  EXPECT_NE(text.find("  checkpoint at step 120\n"), std::string::npos) << text;
  EXPECT_NE(text.find("  tried 2 times\n"), std::string::npos) << text;
  EXPECT_NE(text.find("  new\n"), std::string::npos) << text;
  EXPECT_NE(text.find("4 tasks, 1 done;"), std::string::npos) << text;
  ASSERT_EQ(muster({"plan", "x.toml", "--json", "--runs", "r"}), 0);
  json = nlohmann::json::parse(output());
  EXPECT_EQ(json["tasks"][0]["done"], true);
  EXPECT_EQ(json["tasks"][1]["checkpoint_step"], 120);
  EXPECT_EQ(json["tasks"][2]["attempts"], 2);
}

TEST_F(PlanCommand, TakesNumbersFromTheNewestRun) {
  write_experiment("[matrix.grid]\nseed = [1]\n");
  ASSERT_EQ(muster({"plan", "x.toml", "--json"}), 0);
  write_text(ExperimentPaths(folder_ / "results/runs", "x").run("2026-11-21T10-00-00").plan(), output());
  write_experiment("[matrix.grid]\nseed = [0, 1]\n");
  ASSERT_EQ(muster({"plan", "x.toml", "--json"}), 0);
  const auto json = nlohmann::json::parse(output());
  EXPECT_EQ(json["tasks"][0]["number"], 1);
  EXPECT_EQ(json["tasks"][1]["number"], 0);
}

TEST_F(PlanCommand, HasAnExitCodeAndOneErrorForEachMistake) {
  const auto expect = [this](int code, const std::string& message,
                             const std::vector<std::string>& arguments) {
    EXPECT_EQ(muster(arguments), code) << errors();
    EXPECT_NE(errors().find(message), std::string::npos) << errors();
    EXPECT_FALSE(fs::exists(folder_ / "results"));
  };
  expect(2, "muster: error: FILE is required; see 'muster plan --help'\n", {"plan"});
  expect(2, "--cpus", {"plan", "x.toml", "--cpus", "none"});
  expect(2, "muster: error: 'muster plan' has no option '--cpu'; did you mean '--cpus'?\n",
         {"plan", "x.toml", "--cpu", "2"});
  expect(2, "muster: error: 'muster plan' has no option '--jsno'; did you mean '--json'?\n",
         {"plan", "--jsno=yes", "x.toml"});
  expect(2, "muster: error: 'muster plan' takes no 'y.toml' here; see 'muster plan --help'\n",
         {"plan", "x.toml", "y.toml"});
  expect(2, "muster: error: there is no command 'plna'; did you mean 'plan'?\n", {"plna", "x.toml"});
  expect(2, "muster: error: a command is missing; known are: plan, run,", {});
  expect(3, "muster: error: cannot read 'none.toml': No such file or directory; check the path\n",
         {"plan", "none.toml"});
  write_experiment("[resources]\nranks = \"2\"\n");
  expect(3, "muster: error: x.toml:5:9: 'resources.ranks' must be an integer, not the string \"2\"\n",
         {"plan", "x.toml"});
  write_experiment("[resources]\nranks = 3\n");
  expect(5, "muster: error: x.toml:5:1: task-0 (exec) has no room: ", {"plan", "x.toml", "--cpus", "1"});
  write_experiment("[resources]\ngpus_per_rank = 1\n");
  expect(5, "need 1 GPU, but there are 0", {"plan", "x.toml", "--gpus", "0"});
  write_text(folder_ / "x.toml", "name = \"x\"\nworkload = \"./none.so\"\n");
  expect(7, "there is no plugin", {"plan", "x.toml"});
}

TEST_F(PlanCommand, TellsItsVersionAndHowItIsUsed) {
  EXPECT_EQ(muster({"--version"}), 0);
  EXPECT_EQ(output().find("muster "), 0U) << output();
  EXPECT_EQ(muster({"plan", "--help"}), 0);
  EXPECT_NE(output().find("Example: muster plan experiments/quickstart.toml"), std::string::npos) << output();
}

}  // namespace
}  // namespace muster
