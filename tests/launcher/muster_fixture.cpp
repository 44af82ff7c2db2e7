#include "tests/launcher/muster_fixture.hpp"

#include <algorithm>
#include <sstream>

#include "launcher/process_table.hpp"

namespace muster::testing {

namespace fs = std::filesystem;

MusterTest::~MusterTest() {
  // Gangs outlive a launcher that a test killed; their shims follow them.
  end_processes_with_environment("MUSTER_TEST_ROOT=" + root_.path().string());
}

void MusterTest::experiment(const std::string& script, int tasks, const std::string& more) {
  std::string cells;
  for (int task = 0; task < tasks; ++task) cells += (task == 0 ? "" : ", ") + std::to_string(task);
  write_text(root_ / "script.sh", "N=$1\n" + script + "\n");
  write_text(root_ / "experiment.toml", "name = \"e\"\nworkload = \"exec\"\ncommand = [\"bash\", \"" +
                                            (root_ / "script.sh").string() + "\", \"{n}\"]\n" + more +
                                            "\n[matrix.grid]\nn = [" + cells + "]\n");
}

std::string MusterTest::counting_script(double seconds) const {
  return "echo start $N $(date +%s.%N) >> stamps\nsleep " + std::to_string(seconds) +
         "\necho end $N $(date +%s.%N) >> stamps\n";
}

std::vector<Stamp> MusterTest::stamps() const {
  std::vector<Stamp> stamps;
  std::istringstream lines(text_of(root_ / "stamps"));
  for (Stamp stamp; lines >> stamp.what >> stamp.task >> stamp.time;) stamps.push_back(stamp);
  return stamps;
}

void MusterTest::expect_each_done_once(int tasks) const {
  std::map<std::string, int> starts, ends;
  for (const Stamp& stamp : stamps()) {
    if (stamp.what == "start") {
      EXPECT_EQ(ends[stamp.task], 0) << "task " << stamp.task << " ran again after it had ended well";
      ++starts[stamp.task];
    } else {
      ++ends[stamp.task];
    }
  }
  EXPECT_EQ(static_cast<int>(ends.size()), tasks);
  for (const auto& [task, times] : ends)
    EXPECT_EQ(times, 1) << "task " << task << " ended well more than once";
}

std::unique_ptr<Process> MusterTest::start(std::vector<std::string> arguments,
                                           std::map<std::string, std::string> environment) {
  arguments.insert(arguments.begin(), MUSTER_PROGRAM);
  environment.emplace("MUSTER_RUNS", (root_ / "runs").string());
  environment.emplace("MUSTER_TEST_ROOT", root_.path().string());
  return std::make_unique<Process>(
      arguments, ProcessOptions{environment, root_.path(), root_ / "output", root_ / "errors"});
}

int MusterTest::run(std::vector<std::string> arguments, double seconds) {
  fs::remove(root_ / "output");
  fs::remove(root_ / "errors");
  return start(std::move(arguments))->wait(seconds);
}

std::vector<fs::path> MusterTest::run_folders() const {
  std::vector<fs::path> folders;
  if (!fs::exists(root_ / "runs/e")) return folders;
  for (const auto& item : fs::directory_iterator(root_ / "runs/e")) {
    if (item.path().filename() != "tasks") folders.push_back(item.path());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

fs::path MusterTest::task_folder(const std::string& label) const {
  if (!fs::exists(root_ / "runs/e/tasks")) return {};
  for (const auto& item : fs::directory_iterator(root_ / "runs/e/tasks")) {
    if (item.path().filename().string().starts_with(label + "-")) return item.path();
  }
  return {};
}

nlohmann::json MusterTest::status() {
  Process process({MUSTER_PROGRAM, "status", "--json"},
                  {{{"MUSTER_RUNS", (root_ / "runs").string()}}, root_.path(), root_ / "status", {}});
  process.wait();
  const std::string text = text_of(root_ / "status");
  fs::remove(root_ / "status");
  return nlohmann::json::parse(text, nullptr, false);
}

}  // namespace muster::testing
