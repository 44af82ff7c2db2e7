#include "slurm/command.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <csignal>

#include "tests/support/error_of.hpp"
#include "tests/support/processes.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

using namespace std::chrono_literals;

TEST(Command, GivesWhatItPrintsAndHowItEnds) {
  const CommandResult result = run_command({"sh", "-c", "echo out; echo err >&2; exit 3"});
  EXPECT_EQ(result.out, "out\n");
  EXPECT_EQ(result.err, "err\n");
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_FALSE(result.ok());
  EXPECT_TRUE(run_command({"true"}).ok());
}

TEST(Command, PassesArgumentsAsTheyAre) {
  const std::string strange = "a 'b' \"c\" $(id) `id`; * \n\\";
  EXPECT_EQ(run_command({"printf", "%s", strange}).out, strange);
}

TEST(Command, PassesMoreInputAndOutputThanAPipeHolds) {
  std::string input;
  for (int i = 0; i < 300000; ++i) input += std::to_string(i) + "\n";
  const CommandResult result = run_command({"cat"}, input);
  EXPECT_TRUE(result.ok());
  EXPECT_TRUE(result.out == input);
}

TEST(Command, SurvivesAProgramThatReadsNoInput) {
  const CommandResult result = run_command({"true"}, std::string(1'000'000, 'x'));
  EXPECT_TRUE(result.ok());
}

TEST(Command, IsKilledAtItsLimitWithAllThatItStarted) {
  const auto begin = std::chrono::steady_clock::now();
  const CommandResult result = run_command({"sh", "-c", "echo begun; sleep 60 & sleep 60"}, "", 300ms);
  EXPECT_TRUE(result.timed_out);
  EXPECT_FALSE(result.ok());
  EXPECT_EQ(result.exit_code, 128 + SIGKILL);
  EXPECT_EQ(result.out, "begun\n");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
}

TEST(Command, IsKilledAtItsLimitThoughItsOutputIsClosed) {
  EXPECT_TRUE(run_command({"sh", "-c", "exec >&- 2>&-; sleep 60"}, "", 300ms).timed_out);
}

TEST(Command, ThatIsMissingEndsWith127) {
  const CommandResult result = run_command({"no-such-program-of-slurm"});
  EXPECT_EQ(result.exit_code, 127);
  EXPECT_EQ(result.complaint(), "No such file or directory");
}

TEST(Command, AddsToTheEnvironmentAndTakesAway) {
  setenv("MUSTER_TEST_GONE", "x", 1);
  setenv("MUSTER_TEST_KEPT", "kept", 1);
  const CommandResult result =
      run_command({"sh", "-c", "echo ${MUSTER_TEST_GONE-none} $MUSTER_TEST_KEPT $MUSTER_TEST_NEW"}, "", 30s,
                  {{"MUSTER_TEST_GONE", ""}, {"MUSTER_TEST_NEW", "new"}});
  EXPECT_EQ(result.out, "none kept new\n");
}

TEST(Command, HasDefaultSignalsWhateverThisProcessIgnores) {
  std::signal(SIGUSR1, SIG_IGN);
  const CommandResult result = run_command({"sh", "-c", "kill -USR1 $$; echo alive"});
  std::signal(SIGUSR1, SIG_DFL);
  EXPECT_EQ(result.exit_code, 128 + SIGUSR1);
  EXPECT_EQ(result.out, "");
}

TEST(Command, RefusesAZeroByte) {
  const std::string said = testing::error_of(ExitCode::config, [] {
    run_command({"echo", std::string("a\0b", 3)});
  });
  EXPECT_NE(said.find("zero byte"), std::string::npos) << said;
}

std::string complaint_of(const std::string& err) {
  CommandResult result;
  result.err = err;
  return result.complaint();
}

TEST(Complaint, IsTheErrorsWithoutTheProgramsName) {
  EXPECT_EQ(complaint_of("sbatch: error: invalid partition specified: x\n"
                         "sbatch: error: Batch job submission failed: Invalid partition name specified\n"),
            "invalid partition specified: x; Batch job submission failed: Invalid partition name specified");
  EXPECT_EQ(complaint_of("sbatch: a hint of the site\nsbatch: error: No.\n\n"), "No.");
}

TEST(Complaint, IsTheLastLineWhereNothingIsCalledAnError) {
  EXPECT_EQ(complaint_of("first\nInvalid job id specified for job 9999\n\n"),
            "Invalid job id specified for job 9999");
  EXPECT_EQ(complaint_of("slurm_load_jobs error: Unable to contact slurm controller (connect failure)"),
            "slurm_load_jobs error: Unable to contact slurm controller (connect failure)");
  EXPECT_EQ(complaint_of(""), "");
}

}  // namespace
}  // namespace muster
