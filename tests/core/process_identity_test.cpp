#include "core/process_identity.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/error_of.hpp"
#include "tests/support/processes.hpp"

namespace muster {
namespace {

using testing::error_of;

TEST(ProcessIdentity, OwnIsAlive) {
  const ProcessIdentity self = own_identity();
  EXPECT_EQ(self.pid, getpid());
  EXPECT_GT(self.start, 0U);
  EXPECT_EQ(self.boot_id.size(), 36U);
  EXPECT_EQ(liveness(self), Liveness::alive);
}

TEST(ProcessIdentity, ComesBackFromJson) {
  const ProcessIdentity self = own_identity();
  EXPECT_EQ(identity_from_json(identity_to_json(self)), self);
  error_of(ExitCode::storage, [] { identity_from_json("{\"host\": 1}"); });
  error_of(ExitCode::storage, [] { identity_from_json("{\"ho"); });
  error_of(ExitCode::storage, [] { identity_from_json(""); });
}

TEST(ProcessIdentity, AReusedPidIsAnotherProcess) {
  ProcessIdentity earlier = own_identity();
  earlier.start -= 1;
  EXPECT_EQ(liveness(earlier), Liveness::dead);
}

TEST(ProcessIdentity, AnEarlierBootsProcessIsDeadAndAnotherHostsUnknown) {
  ProcessIdentity other = own_identity();
  other.boot_id = "00000000-0000-0000-0000-000000000000";
  EXPECT_EQ(liveness(other), Liveness::dead);
  other.host += "-elsewhere";
  EXPECT_EQ(liveness(other), Liveness::unknown);
}

TEST(ProcessIdentity, AZombieAndThenNothingAreDead) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    // A name with what would end a careless parser's field.
    prctl(PR_SET_NAME, ") Z 1 (");
    pause();
    _exit(0);
  }
  const ProcessIdentity identity = identity_of(child);
  EXPECT_TRUE(testing::wait_until([&] { return liveness(identity) == Liveness::alive; }));
  EXPECT_EQ(identity_of(child), identity);
  kill(child, SIGKILL);
  EXPECT_TRUE(testing::wait_until(
      [&] { return liveness(identity) == Liveness::dead; }));  // a zombie, not yet waited for
  waitpid(child, nullptr, 0);
  EXPECT_EQ(liveness(identity), Liveness::dead);
  EXPECT_EQ(identity_of(child).start, 0U);
}

}  // namespace
}  // namespace muster
