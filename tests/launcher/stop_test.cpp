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

}  // namespace
}  // namespace muster
