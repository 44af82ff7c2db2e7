/// 'Save and stop' that comes at a bad moment, on a real gang.

#include <gmock/gmock.h>
#include <signal.h>

#include "tests/launcher/muster_fixture.hpp"

namespace muster {
namespace {

using ::testing::HasSubstr;
using testing::MusterTest;
using testing::text_of;
using testing::wait_until;

class Stop : public MusterTest {
 protected:
  /// A gang of two that counts, under an mpirun that takes its time to come up.
  void counting_gang() {
    std::filesystem::copy_file(COUNTING_PLUGIN, root_ / "counting.so");
    testing::Process describe({MUSTER_RUNNER, "--describe", (root_ / "counting.so").string(), "--output",
                               (root_ / "counting.json").string()});
    ASSERT_EQ(describe.wait(), 0);
    std::filesystem::create_directory(root_ / "bin");
    testing::write_text(root_ / "bin/mpirun", "#!/bin/bash\nif [ \"$1\" != --version ]; then touch " +
                                                  (root_ / "coming-up").string() +
                                                  "; sleep 0.7; fi\nexec " MUSTER_MPIEXEC " \"$@\"\n");
    std::filesystem::permissions(root_ / "bin/mpirun", std::filesystem::perms::owner_all);
    testing::write_text(root_ / "experiment.toml",
                        "name = \"e\"\nworkload = \"./counting.so\"\n[resources]\nranks = 2\n"
                        "oversubscribe = true\n[parameters]\nsteps = 150\nstep_seconds = 0.01\n");
  }

  std::unique_ptr<testing::Process> start_slowly() {
    return start({"run", "experiment.toml"},
                 {{"PATH", (root_ / "bin").string() + ":" + std::getenv("PATH")}});
  }
};

TEST_F(Stop, GangThatIsComingUpSavesAndStopsAsSoonAsItIsThere) {
  counting_gang();
  const auto launcher = start_slowly();
  ASSERT_TRUE(wait_until([&] { return std::filesystem::exists(root_ / "coming-up"); }));
  launcher->signal(SIGINT);
  EXPECT_EQ(launcher->wait(), 75) << output() << errors();
  const auto task = std::filesystem::directory_iterator(root_ / "runs/e/tasks")->path();
  EXPECT_EQ(nlohmann::json::parse(text_of(task / "attempt-1/exit.json")).at("exit_code"), 75)
      << "the signal came before the gang could catch it";
  EXPECT_FALSE(std::filesystem::is_empty(task / "checkpoints"));
  EXPECT_EQ(run(), 0) << output() << errors();
  EXPECT_THAT(text_of(task / "attempt-2/log.txt"), HasSubstr("counting goes on at step"));
}

TEST_F(Stop, SecondCtrlCEndsAGangThatIsComingUp) {
  counting_gang();
  const auto launcher = start_slowly();
  ASSERT_TRUE(wait_until([&] { return std::filesystem::exists(root_ / "coming-up"); }));
  launcher->signal(SIGINT);
  ASSERT_TRUE(wait_until([&] { return output().find("Ctrl-C again") != std::string::npos; }));
  launcher->signal(SIGINT);
  EXPECT_EQ(launcher->wait(), 130) << output() << errors();
}

TEST_F(Stop, ACancelledTaskEndsOrDoesNotBeginAndTheOthersGoOn) {
  experiment("trap 'echo $N >> saved; exit 75' USR1; until [ -e go-$N ]; do sleep 0.05; done", 4);
  const auto launcher = start({"run", "experiment.toml", "--cpus", "2"});
  const auto states = [&](const std::string& wanted) {
    std::string labels;
    const nlohmann::json now = status();
    if (!now.is_object()) return labels;
    for (const auto& task : now.at("tasks")) {
      if (task["state"] == wanted) labels += task["label"].get<std::string>() + " ";
    }
    return labels;
  };
  ASSERT_TRUE(wait_until([&] { return states("running") == "n0 n1 "; }));
  EXPECT_EQ(run({"cancel", "--task", "3"}), 0) << errors();
  EXPECT_THAT(output(), HasSubstr("task-3-n3 does not begin any more; the others go on"));
  EXPECT_EQ(run({"cancel", "--task", "task-0"}), 0) << errors();
  EXPECT_THAT(output(), HasSubstr("task-0-n0 runs no more"));
  EXPECT_EQ(text_of(root_ / "saved"), "0\n");
  ASSERT_TRUE(wait_until([&] { return states("running") == "n1 n2 "; }));
  EXPECT_EQ(states("stopped"), "n0 n3 ");
  for (const char* file : {"go-1", "go-2"}) testing::write_text(root_ / file, "");
  EXPECT_EQ(launcher->wait(), 75);
  EXPECT_EQ(states("done"), "n1 n2 ");
  for (const char* file : {"go-0", "go-3"}) testing::write_text(root_ / file, "");
  EXPECT_EQ(run(), 0) << "the same command goes on with what was cancelled: " << output() << errors();
}

}  // namespace
}  // namespace muster
