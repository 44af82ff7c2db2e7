#include "slurm/job_state.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

namespace muster {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

struct KnownState {
  const char* words[2];
  JobPhase phase;
  JobEnd end;
};

TEST(JobState, OfEveryWordOfSlurmIsKnown) {
  const KnownState known[] = {
      {{"PENDING", "PD"}, JobPhase::pending, JobEnd::none},
      {{"RUNNING", "R"}, JobPhase::running, JobEnd::none},
      {{"SUSPENDED", "S"}, JobPhase::running, JobEnd::none},
      {{"COMPLETED", "CD"}, JobPhase::ended, JobEnd::completed},
      {{"CANCELLED", "CA"}, JobPhase::ended, JobEnd::cancelled},
      {{"FAILED", "F"}, JobPhase::ended, JobEnd::failed},
      {{"TIMEOUT", "TO"}, JobPhase::ended, JobEnd::timeout},
      {{"NODE_FAIL", "NF"}, JobPhase::ended, JobEnd::node_failure},
      {{"PREEMPTED", "PR"}, JobPhase::ended, JobEnd::preempted},
      {{"BOOT_FAIL", "BF"}, JobPhase::ended, JobEnd::boot_failure},
      {{"DEADLINE", "DL"}, JobPhase::ended, JobEnd::deadline},
      {{"OUT_OF_MEMORY", "OOM"}, JobPhase::ended, JobEnd::out_of_memory},
      {{"COMPLETING", "CG"}, JobPhase::completing, JobEnd::none},
      {{"CONFIGURING", "CF"}, JobPhase::pending, JobEnd::none},
      {{"EXPEDITING", "EX"}, JobPhase::pending, JobEnd::none},
      {{"REQUEUED", "RQ"}, JobPhase::pending, JobEnd::none},
      {{"REQUEUE_FED", "RF"}, JobPhase::pending, JobEnd::none},
      {{"REQUEUE_HOLD", "RH"}, JobPhase::pending, JobEnd::none},
      {{"RESV_DEL_HOLD", "RD"}, JobPhase::pending, JobEnd::none},
      {{"SPECIAL_EXIT", "SE"}, JobPhase::pending, JobEnd::none},
      {{"RESIZING", "RS"}, JobPhase::running, JobEnd::none},
      {{"SIGNALING", "SI"}, JobPhase::running, JobEnd::none},
      {{"STAGE_OUT", "SO"}, JobPhase::running, JobEnd::none},
      {{"STOPPED", "ST"}, JobPhase::running, JobEnd::none},
      {{"REVOKED", "RV"}, JobPhase::ended, JobEnd::other},
  };
  for (const KnownState& state : known) {
    for (const std::string word : state.words) {
      EXPECT_EQ(phase_of(word), state.phase) << word;
      EXPECT_EQ(end_of(word), state.end) << word;
    }
  }
}

TEST(JobState, IsReadInOddForms) {
  EXPECT_EQ(end_of("CANCELLED by 1000"), JobEnd::cancelled);
  EXPECT_EQ(end_of("cancelled"), JobEnd::cancelled);
  EXPECT_EQ(end_of("COMPLETED+"), JobEnd::completed);
  EXPECT_EQ(end_of("OUT_OF_ME+"), JobEnd::out_of_memory);
  EXPECT_EQ(phase_of("COMPLETED,COMPLETING"), JobPhase::completing);
  EXPECT_EQ(end_of("COMPLETED,COMPLETING"), JobEnd::none);
  EXPECT_EQ(phase_of("PENDING,REQUEUED"), JobPhase::pending);
  EXPECT_EQ(phase_of("RUNNING,CONFIGURING"), JobPhase::pending);
  EXPECT_EQ(phase_of("NODE_FAIL,LAUNCH_FAILED,REQUEUED"), JobPhase::pending);
}

TEST(JobState, ThatIsUnknownIsKeptAsText) {
  for (const std::string text : {"HIBERNATED", "", "?", "CO+", ",", "+"}) {
    EXPECT_EQ(phase_of(text), JobPhase::unknown) << text;
    EXPECT_EQ(end_of(text), JobEnd::none) << text;
  }
  JobStatus status;
  status.state = "HIBERNATED";
  EXPECT_THAT(in_plain_words(status), HasSubstr("HIBERNATED"));
  EXPECT_FALSE(never_starts(status));
}

std::string words(const std::string& state, const std::string& reason = "", const std::string& nodes = "") {
  JobStatus status;
  status.state = state;
  status.reason = reason;
  status.nodes = nodes;
  return in_plain_words(status);
}

TEST(PlainWords, SayWhyAJobWaits) {
  EXPECT_EQ(words("PENDING", "Resources"), "waits for resources");
  EXPECT_EQ(words("PENDING"), "waits");
  EXPECT_EQ(words("PENDING", "SomethingNew"), "waits (SomethingNew)");
  EXPECT_EQ(words("PENDING", "ReqNodeNotAvail, UnavailableNodes:n[1-2]"),
            "waits: nodes that it needs are not available (ReqNodeNotAvail, UnavailableNodes:n[1-2])");
  EXPECT_EQ(words("PENDING", "AssocGrpGRES"), "waits: its account's limit is reached (AssocGrpGRES)");
  EXPECT_EQ(words("PENDING", "QOSMaxJobsPerUserLimit"),
            "waits: its QOS's limit is reached (QOSMaxJobsPerUserLimit)");
  for (const char* reason : {"launch failed requeued held", "launch_failed_requeued_held"}) {
    EXPECT_EQ(words("PENDING", reason),
              "is held: it could not be launched; 'scontrol release' lets it try again");
  }
  EXPECT_EQ(words("PENDING", "Nodes required for job are DOWN, DRAINED or reserved"),
            "waits: nodes that it needs are down, drained or reserved");
  EXPECT_EQ(words("CONFIGURING", "None"), "waits until its nodes are booted");
}

TEST(PlainWords, SayHowAJobRunsAndEnds) {
  EXPECT_EQ(words("RUNNING", "", "n[1-2]"), "runs on n[1-2]");
  EXPECT_EQ(words("SUSPENDED", "", "n1"), "is suspended on n1");
  EXPECT_EQ(words("COMPLETING", "", "n1"), "is ending on n1");
  EXPECT_EQ(words("COMPLETED"), "completed");
  EXPECT_EQ(words("TIMEOUT"), "ran into its time limit");
  EXPECT_EQ(words("CANCELLED by 1000"), "cancelled by user 1000");
  EXPECT_EQ(words("CANCELLED", "DependencyNeverSatisfied"),
            "cancelled: a job that it depends on did not end well");
  EXPECT_EQ(words("NODE_FAIL", "NodeDown", "n2"), "a node failed (of n2)");
  EXPECT_EQ(words("OUT_OF_MEMORY"), "ran out of memory");
  EXPECT_EQ(words("PREEMPTED"), "gave way to another job (preempted)");
  EXPECT_EQ(words("REVOKED"), "ended (REVOKED)");
  JobStatus failed;
  failed.state = "FAILED";
  failed.exit_code = 3;
  EXPECT_EQ(in_plain_words(failed), "failed with exit code 3");
  failed.signal = 9;
  EXPECT_EQ(in_plain_words(failed), "was ended by signal 9");
}

TEST(NeverStarts, KnowsHopelessReasons) {
  const auto hopeless = [](const std::string& reason) {
    JobStatus status;
    status.state = "PENDING";
    status.reason = reason;
    return never_starts(status);
  };
  for (const char* reason :
       {"DependencyNeverSatisfied", "PartitionTimeLimit", "PartitionNodeLimit", "BadConstraints",
        "InvalidAccount", "QOSMaxWallDurationPerJobLimit", "AssocMaxCpuPerJobLimit", "QOSMinGRES"})
    EXPECT_TRUE(hopeless(reason)) << reason;
  for (const char* reason : {"", "Resources", "Priority", "Dependency", "BeginTime", "JobHeldUser",
                             "QOSMaxJobsPerUserLimit", "AssocGrpCpuLimit", "SomethingNew"})
    EXPECT_FALSE(hopeless(reason)) << reason;
  JobStatus running;
  running.state = "RUNNING";
  running.reason = "PartitionTimeLimit";
  EXPECT_FALSE(never_starts(running));
}

/// Fields as squeue ends them.
std::string squeue_line(const std::vector<std::string>& fields) {
  return std::accumulate(fields.begin(), fields.end(), std::string(),
                         [](std::string line, const std::string& field) { return line + field + '\x1f'; }) +
         "\n";
}

std::vector<std::string> running_fields() {
  return {"12", "10", "2", "RUNNING", "None", "1", "0", "1000", "2000", "gpu", "n[1-2]", "name", "comment"};
}

TEST(Squeue, IsReadFieldByField) {
  int damaged = -1;
  const auto jobs = parse_squeue(squeue_line(running_fields()), &damaged);
  EXPECT_EQ(damaged, 0);
  ASSERT_THAT(jobs, SizeIs(1));
  const JobStatus& job = jobs[0];
  EXPECT_EQ(job.job, "10");
  EXPECT_EQ(job.array_task, "2");
  EXPECT_EQ(job.own_id, "12");
  EXPECT_EQ(job.state, "RUNNING");
  EXPECT_EQ(job.reason, "");
  EXPECT_EQ(job.restarts, 1);
  EXPECT_EQ(job.start, 1000);
  EXPECT_EQ(job.end, 2000);
  EXPECT_EQ(job.exit_code, std::nullopt);
  EXPECT_EQ(job.partition, "gpu");
  EXPECT_EQ(job.nodes, "n[1-2]");
  EXPECT_EQ(job.name, "name");
  EXPECT_EQ(job.comment, "comment");
}

TEST(Squeue, KeepsNamesAndCommentsWhateverTheyHold) {
  auto fields = running_fields();
  fields[11] = "two\nlines | 'of' \"a\"\tname\n13 sleep";
  fields[12] = "x|y\n\nz  \n";
  const auto jobs = parse_squeue(squeue_line(fields) + squeue_line(running_fields()));
  ASSERT_THAT(jobs, SizeIs(2));
  EXPECT_EQ(jobs[0].name, fields[11]);
  EXPECT_EQ(jobs[0].comment, fields[12]);
  EXPECT_EQ(jobs[1].comment, "comment");
}

TEST(Squeue, SurvivesASeparatorInAName) {
  auto fields = running_fields();
  fields[11] = "a\x1fname";
  const auto jobs = parse_squeue(squeue_line(fields));
  ASSERT_THAT(jobs, SizeIs(1));
  EXPECT_EQ(jobs[0].name, "a\x1fname");
  EXPECT_EQ(jobs[0].comment, "comment");
}

TEST(Squeue, CountsWhatItCannotRead) {
  int damaged = 0;
  const std::string good = squeue_line(running_fields());
  const auto jobs = parse_squeue("a warning of the site\n" + good +
                                     "13\x1f"
                                     "13\x1fN/A\x1fRUNN\n" +
                                     good,
                                 &damaged);
  EXPECT_THAT(jobs, SizeIs(2));
  EXPECT_EQ(damaged, 2);
  EXPECT_THAT(parse_squeue("", &damaged), IsEmpty());
  EXPECT_EQ(damaged, 0);
}

TEST(Squeue, OfEveryCutOffTextEndsWithoutHarm) {
  const std::string whole = squeue_line(running_fields()) + squeue_line(running_fields());
  for (std::size_t length = 0; length < whole.size(); ++length)
    EXPECT_LE(parse_squeue(whole.substr(0, length)).size(), 2U);
}

TEST(Squeue, ReadsTheWaitStatusOfWhatHasEnded) {
  auto fields = running_fields();
  fields[3] = "FAILED";
  fields[6] = "768";
  EXPECT_EQ(parse_squeue(squeue_line(fields)).at(0).exit_code, 3);
  EXPECT_EQ(parse_squeue(squeue_line(fields)).at(0).signal, std::nullopt);
  fields[6] = "9";
  EXPECT_EQ(parse_squeue(squeue_line(fields)).at(0).signal, 9);
}

TEST(Squeue, ReadsTimesInLocalTimeAsWell) {
  setenv("TZ", "UTC", 1);
  tzset();
  auto fields = running_fields();
  fields[7] = "2026-03-02T10:00:00";
  EXPECT_EQ(parse_squeue(squeue_line(fields)).at(0).start, 1772445600);
  unsetenv("TZ");
  tzset();
}

TEST(Sacct, LeavesOutSteps) {
  const std::string tail =
      "\x1f"
      "COMPLETED\x1f"
      "0:0\x1f"
      "1000\x1f"
      "2000\x1fgpu\x1fn1\x1fname\x1f"
      "comment\n";
  const auto jobs = parse_sacct(
      "7\x1f"
      "7" +
      tail +
      "7.batch\x1f"
      "7.batch" +
      tail +
      "7.0\x1f"
      "7.0" +
      tail);
  ASSERT_THAT(jobs, SizeIs(1));
  EXPECT_EQ(jobs[0].job, "7");
  EXPECT_EQ(jobs[0].exit_code, 0);
}

TEST(Hostlist, IsExpanded) {
  EXPECT_THAT(expand_hostlist("n[1-3,7],m01"), ElementsAre("n1", "n2", "n3", "n7", "m01"));
  EXPECT_THAT(expand_hostlist("n[08-11]"), ElementsAre("n08", "n09", "n10", "n11"));
  EXPECT_THAT(expand_hostlist("r[1-2]n[1-2]-ib"), ElementsAre("r1n1-ib", "r1n2-ib", "r2n1-ib", "r2n2-ib"));
  EXPECT_THAT(expand_hostlist("host-a.site"), ElementsAre("host-a.site"));
  EXPECT_THAT(expand_hostlist(""), IsEmpty());
}

TEST(Hostlist, ThatIsDamagedEndsWithoutHarm) {
  for (const char* text : {"n[", "n]", "n[]", "n[3-1]", "n[1-", "n[1-99999999999]", "n[a-b]", ",,"})
    EXPECT_LE(expand_hostlist(text).size(), 2U) << text;
}

}  // namespace
}  // namespace muster
