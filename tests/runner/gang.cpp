#include "gang.hpp"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <thread>

#include "core/durable_file.hpp"
#include "core/error.hpp"
#include "results/metric_reader.hpp"

namespace muster {

namespace fs = std::filesystem;

fs::path plugin_path(const std::string& name) { return fs::path(MUSTER_TEST_PLUGINS) / (name + ".so"); }

TaskFolder::TaskFolder(int ranks, const Parameters& given, const std::string& plugin) {
  std::string name = (fs::temp_directory_path() / "muster-gang-XXXXXX").string();
  MUSTER_ASSERT(mkdtemp(name.data()) != nullptr);
  root_ = name;
  task.id = "0123abcd";
  task.label = "counting";
  task.workload = "counting";
  task.plugin = plugin_path(plugin);
  task.parameters = {{"steps", 20},    {"step_seconds", 0.0}, {"deed", ""},
                     {"deed_rank", 0}, {"deed_step", 5},      {"seed", 0}};
  for (const auto& [key, value] : given) task.parameters[key] = value;
  task.resources.ranks = ranks;
  task.policy.checkpoint_seconds = 0;
  write();
}

TaskFolder::~TaskFolder() {
  std::error_code ignored;
  fs::remove_all(root_, ignored);
}

void TaskFolder::write() const {
  make_folders(paths().folder());
  write_task(task, paths().task_file());
}

std::string TaskFolder::log(int number) const { return read_text(attempt(number).log()); }

std::vector<std::string> TaskFolder::events(int number) const {
  std::vector<std::string> names;
  std::ifstream lines(attempt(number).events());
  for (std::string line; std::getline(lines, line);) {
    static const std::string kKey = "\"event\":\"";
    const std::size_t begin = line.find(kKey) + kKey.size();
    names.push_back(line.substr(begin, line.find('"', begin) - begin));
  }
  return names;
}

std::vector<std::int64_t> TaskFolder::metric_steps(int number) const {
  const MetricReader reader(attempt(number).metrics_h5());
  std::vector<std::int64_t> steps;
  for (const auto& row : reader.read("step", 0, reader.rows("step")))
    steps.push_back(std::get<std::int64_t>(row.at(2)));
  return steps;
}

std::vector<std::string> TaskFolder::checkpoints() const {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(paths().checkpoints(), ignored))
    names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

std::string TaskFolder::final_sums() const { return read_text(paths().artifacts() / "final.bin"); }

Gang::Gang(const TaskFolder& folder, int attempt, const std::map<std::string, std::string>& environment) {
  make_folders(folder.attempt(attempt).folder());
  const std::vector<std::string> words = {MUSTER_MPIEXEC,
                                          "--oversubscribe",
                                          "--bind-to",
                                          "none",
                                          "-n",
                                          std::to_string(folder.task.resources.ranks),
                                          MUSTER_RUNNER,
                                          "--task",
                                          folder.paths().folder().string(),
                                          "--attempt",
                                          std::to_string(attempt)};
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  pid_ = fork();
  if (pid_ != 0) return;
  setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
  setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
  setenv("OMPI_MCA_mpi_yield_when_idle", "1", 1);
  for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
  const int log = open(folder.attempt(attempt).log().c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  execv(argv[0], argv.data());
  _exit(127);
}

Gang::~Gang() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

std::vector<ProcessIdentity> Gang::ranks() const {
  const std::string pid = std::to_string(pid_);
  std::ifstream children("/proc/" + pid + "/task/" + pid + "/children");
  std::vector<ProcessIdentity> found;
  for (int child = 0; children >> child;) found.push_back(identity_of(child));
  return found;
}

int Gang::wait(std::chrono::seconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  int status = 0;
  while (waitpid(pid_, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > end) return -1;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int run_gang(const TaskFolder& folder, int attempt, const std::map<std::string, std::string>& environment) {
  return Gang(folder, attempt, environment).wait();
}

bool becomes_true(const std::function<bool()>& holds) {
  for (int i = 0; i < 1000; ++i) {
    if (holds()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

}  // namespace muster
