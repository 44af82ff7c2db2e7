#include "tests/slurm/cluster_fixture.hpp"

#include <unistd.h>

#include <cstdlib>
#include <sstream>

#include "tests/support/processes.hpp"

namespace muster::testing {

namespace {

constexpr int kLacksSomething = 3;

struct Running {
  std::vector<std::string> options;
  std::unique_ptr<TestCluster> cluster;
};

Running& running() {
  static Running only;
  return only;
}

void export_lines(const std::string& text) {
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const auto equals = word.find('=');
    if (equals != std::string::npos)
      setenv(word.substr(0, equals).c_str(), word.substr(equals + 1).c_str(), 1);
  }
}

std::string one_line(std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

}  // namespace

TestCluster::TestCluster(const std::vector<std::string>& options) : folder_(root_ / "cluster") {
  std::vector<std::string> command = {MUSTER_TEST_CLUSTER, "start", folder_.string(), "--until-exit-of",
                                      std::to_string(getpid())};
  command.insert(command.end(), options.begin(), options.end());
  Process process(command, {{}, {}, root_ / "said", {}});
  const int code = process.wait(60);
  const std::string said = one_line(text_of(root_ / "said"));
  if (code == kLacksSomething) throw NoSlurm(said);
  if (code != 0) {
    stop();
    throw std::runtime_error("test cluster: exit code " + std::to_string(code) + ": " + said);
  }
  export_lines(text_of(folder_ / "env"));
}

TestCluster::~TestCluster() {
  stop();
  unsetenv("SLURM_CONF");
}

void TestCluster::stop() {
  Process({MUSTER_TEST_CLUSTER, "stop", folder_.string()}, {{}, {}, root_ / "said", {}}).wait(60);
}

void TestCluster::control(const std::vector<std::string>& command_and_node) {
  std::vector<std::string> command = {MUSTER_TEST_CLUSTER, command_and_node.at(0), folder_.string()};
  command.insert(command.end(), command_and_node.begin() + 1, command_and_node.end());
  Process process(command, {{}, {}, root_ / "control", {}});
  if (process.wait(60) != 0) throw std::runtime_error("test cluster: " + text_of(root_ / "control"));
}

void ClusterTest::SetUp() { start_cluster({}); }

void ClusterTest::start_cluster(const std::vector<std::string>& options) {
  if (running().cluster && running().options == options) return;
  running().cluster.reset();
  try {
    running() = {options, std::make_unique<TestCluster>(options)};
  } catch (const NoSlurm& lacks) {
    GTEST_SKIP() << lacks.what();
  }
}

void ClusterTest::TearDown() {
  if (!running().cluster) return;
  if (HasFailure()) {
    const auto log = running().cluster->folder() / "log/slurmctld.log";
    std::string text = text_of(log);
    if (text.size() > 4000) text.erase(0, text.size() - 4000);
    std::fprintf(stderr, "the controller's log ends:\n%s\n", text.c_str());
  }
  Process({"scancel", "--user=" + said_by({"id", "-un"})}).wait();
  if (!wait_until([this] { return said_by({"squeue", "-h", "-t", "R,CG,S"}).empty(); }, 20))
    running().cluster.reset();
}

TestCluster& ClusterTest::cluster() { return *running().cluster; }

std::string ClusterTest::said_by(const std::vector<std::string>& argv) {
  TemporaryFolder folder;
  Process process(argv, {{}, {}, folder / "said", {}});
  const int code = process.wait();
  const std::string said = one_line(text_of(folder / "said"));
  EXPECT_EQ(code, 0) << argv.front() << ": " << said;
  return said;
}

std::string ClusterTest::job_state(const std::string& job) {
  return said_by({"squeue", "-h", "-t", "all", "-o", "%T", "-j", job});
}

bool ClusterTest::wait_for_state(const std::string& job, const std::string& state, double seconds) {
  return wait_until([&] { return job_state(job) == state; }, seconds);
}

}  // namespace muster::testing
