/// How Slurm's commands are called, and what is made of their refusals, with fakes in their place.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "slurm/batch_system.hpp"
#include "tests/slurm/fake_slurm.hpp"
#include "tests/support/error_of.hpp"

namespace muster {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::Key;
using ::testing::Not;
using ::testing::SizeIs;

constexpr const char* kSilent = "squeue: error: Unable to contact slurm controller (connect failure)\n";

JobRequest strange_request() {
  const std::string strange = "'q' \"d\" $(touch evil) `touch evil`; & |\n#SBATCH --wrap=evil\n--wrap=evil";
  JobRequest request;
  request.name = "name " + strange;
  request.token = "muster:k1:0";
  SlurmOptions& options = request.options;
  int number = 0;
  for (std::string* option :
       {&options.partition, &options.account, &options.qos, &options.constraint, &options.reservation,
        &options.container, &options.gpu_type, &options.mem, &options.mem_per_cpu, &options.time,
        &options.mail_user, &options.mail_type, &options.prologue, &options.exclude})
    *option = std::to_string(number++) + strange;
  options.modules = {strange};
  options.sbatch = {{"licenses", strange}, {"exclusive", ""}};
  request.gpus_per_node = 1;
  request.command = {"muster", strange};
  request.working_folder = "/tmp/" + strange;
  request.output = "/tmp/out " + strange;
  return request;
}

TEST(Submit, HandsEveryValueToSbatchAsItIs) {
  testing::FakeSlurm fake("22.05");
  fake.answer("sbatch", "77\n");
  const JobRequest request = strange_request();
  EXPECT_EQ(make_slurm({})->submit(request), "77");
  const auto calls = fake.calls("sbatch");
  ASSERT_THAT(calls, SizeIs(1));
  EXPECT_EQ(calls[0].arguments, sbatch_arguments({}, request));
  EXPECT_EQ(calls[0].input, batch_script({}, request));
  const SlurmOptions& options = request.options;
  EXPECT_THAT(
      calls[0].arguments,
      IsSupersetOf({"--job-name=" + request.name, "--partition=" + options.partition,
                    "--account=" + options.account, "--qos=" + options.qos,
                    "--constraint=" + options.constraint, "--reservation=" + options.reservation,
                    "--container=" + options.container, "--gres=gpu:" + options.gpu_type + ":1",
                    "--mem=" + options.mem, "--mem-per-cpu=" + options.mem_per_cpu, "--time=" + options.time,
                    "--mail-user=" + options.mail_user, "--mail-type=" + options.mail_type,
                    "--exclude=" + options.exclude, "--licenses=" + options.sbatch.at("licenses"),
                    std::string("--exclusive"), "--chdir=" + request.working_folder.string(),
                    "--output=" + request.output.string()}));
}

TEST(Submit, ReadsTheIdInEveryForm) {
  testing::FakeSlurm fake;
  for (const char* printed : {"77\n", "77;cluster\n", "a word of the site\n77\n"}) {
    fake.answer("sbatch", printed);
    EXPECT_EQ(make_slurm({})->submit({}), "77") << printed;
  }
  fake.answer("sbatch", "thanks\n");
  EXPECT_THAT(testing::error_of(ExitCode::resources, [] { make_slurm({})->submit({}); }),
              HasSubstr("thanks"));
}

TEST(Submit, PassesOnARefusalInSlurmsWords) {
  testing::FakeSlurm fake;
  fake.answer("sbatch", "",
              "sbatch: error: Batch job submission failed: Invalid account or account/partition combination "
              "specified\n",
              1);
  EXPECT_THAT(
      testing::error_of(ExitCode::resources, [] { make_slurm({})->submit({}); }),
      HasSubstr("Slurm refused the job: Batch job submission failed: Invalid account or account/partition "
                "combination specified"));
}

TEST(Submit, TellsASilentControllerFromARefusal) {
  testing::FakeSlurm fake;
  for (const char* words :
       {"sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)\n",
        "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n"}) {
    fake.answer("sbatch", "", words, 1);
    EXPECT_THAT(testing::error_of(ExitCode::busy, [] { make_slurm({})->submit({}); }),
                HasSubstr("does not answer"));
  }
}

TEST(Submit, FromInsideOfAJobHandsNothingOfItOn) {
  testing::FakeSlurm fake;
  fake.answer("sbatch", "78\n");
  const std::map<std::string, std::string> job = {
      {"SLURM_JOB_ID", "5"}, {"SLURM_ARRAY_TASK_ID", "3"}, {"SLURM_MEM_PER_NODE", "10"}};
  for (const auto& [name, value] : job) setenv(name.c_str(), value.c_str(), 1);
  setenv("SLURM_CONF", "/etc/slurm.conf", 1);
  make_slurm({})->submit({});
  for (const auto& [name, value] : job) unsetenv(name.c_str());
  unsetenv("SLURM_CONF");
  const auto environment = fake.calls("sbatch").at(0).environment;
  for (const auto& [name, value] : job) EXPECT_THAT(environment, Not(Contains(Key(name))));
  EXPECT_EQ(environment.at("SLURM_CONF"), "/etc/slurm.conf");
}

TEST(States, TakeOneCallForAnyNumberOfJobs) {
  testing::FakeSlurm fake("21.08");
  std::vector<std::string> jobs;
  for (int job = 0; job < 500; ++job) jobs.push_back(std::to_string(job));
  EXPECT_THAT(make_slurm(probe_slurm())->states(jobs, "muster:k1:"), SizeIs(11));
  const auto calls = fake.calls("squeue");
  ASSERT_THAT(calls, SizeIs(1));
  EXPECT_THAT(calls[0].arguments,
              ElementsAre("--noheader", "--all", "--states=all", "--user=" + std::to_string(getuid()),
                          std::string("--Format=") + kSqueueFormat));
  EXPECT_EQ(calls[0].environment.at("SLURM_TIME_FORMAT"), "%s");
  EXPECT_THAT(fake.calls("sacct"), IsEmpty());
}

TEST(States, AreThoseOfTheJobsAndOfTheToken) {
  testing::FakeSlurm fake("21.08");
  const auto slurm = make_slurm(probe_slurm());
  EXPECT_THAT(slurm->states({}, "muster:k1:1"), SizeIs(4));
  EXPECT_THAT(slurm->states({"102"}), SizeIs(4));
  EXPECT_THAT(slurm->states({"103"}), SizeIs(1));
  EXPECT_THAT(slurm->states({"102_1"}), SizeIs(1));
  EXPECT_THAT(slurm->states({"999"}), IsEmpty());
  EXPECT_THAT(slurm->states({}), IsEmpty());
}

TEST(States, AskSacctOnceForWhatIsGone) {
  testing::FakeSlurm fake("24.05");
  const auto jobs = make_slurm(probe_slurm())->states({"90", "101", "91"});
  EXPECT_THAT(jobs, SizeIs(5));
  const auto calls = fake.calls("sacct");  // the first is the probe's
  ASSERT_THAT(calls, SizeIs(2));
  EXPECT_THAT(calls[1].arguments, Contains("--jobs=90,91"));
}

TEST(States, OfATokenThatSqueueDoesNotKnowAreAskedOfSacct) {
  testing::FakeSlurm fake("24.05");
  const auto slurm = make_slurm(probe_slurm());
  const auto jobs = slurm->states({}, "muster:k0:0");
  ASSERT_THAT(jobs, SizeIs(1));
  EXPECT_EQ(jobs[0].job, "90");
  slurm->states({}, "muster:k1:0");
  EXPECT_THAT(fake.calls("sacct"), SizeIs(2));
}

TEST(States, StandWithoutSacct) {
  testing::FakeSlurm fake("24.05");
  const auto slurm = make_slurm(probe_slurm());
  fake.answer("sacct", "", "sacct: error: Connection refused\n", 1);
  EXPECT_THAT(slurm->states({"90", "101"}), SizeIs(1));
}

TEST(States, WithoutAControllerAreAnErrorThatCanBeTriedAgain) {
  testing::FakeSlurm fake("24.05");
  const auto slurm = make_slurm(probe_slurm());
  fake.answer("squeue", "", kSilent, 1);
  EXPECT_THAT(testing::error_of(ExitCode::busy, [&] { slurm->states({"1"}); }), HasSubstr("connect failure"));
}

TEST(States, HeedNoDefaultsOfTheUser) {
  testing::FakeSlurm fake("21.08");
  const auto slurm = make_slurm(probe_slurm());
  setenv("SQUEUE_PARTITION", "other", 1);
  setenv("SLURM_TIME_FORMAT", "relative", 1);
  slurm->states({"101"});
  unsetenv("SQUEUE_PARTITION");
  unsetenv("SLURM_TIME_FORMAT");
  const auto environment = fake.calls("squeue").at(0).environment;
  EXPECT_THAT(environment, Not(Contains(Key("SQUEUE_PARTITION"))));
  EXPECT_EQ(environment.at("SLURM_TIME_FORMAT"), "%s");
}

TEST(Cancel, OfAJobThatHasEndedIsFine) {
  testing::FakeSlurm fake;
  fake.answer("scancel", "", "scancel: error: Kill job error on job id 9: Invalid job id specified\n", 1);
  EXPECT_NO_THROW(make_slurm({})->cancel("9"));
  EXPECT_THAT(fake.calls("scancel").at(0).arguments, ElementsAre("9"));
  fake.answer("scancel", "", "scancel: error: Kill job error on job id 9: Access/permission denied\n", 1);
  EXPECT_THAT(testing::error_of(ExitCode::resources, [] { make_slurm({})->cancel("9"); }),
              HasSubstr("permission denied"));
}

TEST(Requeue, SaysWhereItIsNotAllowed) {
  testing::FakeSlurm fake;
  fake.answer("scontrol-requeue", "", "Requested operation is presently disabled for job 9\n", 1);
  EXPECT_FALSE(make_slurm({})->requeue("9"));
  fake.answer("scontrol-requeue", "");
  EXPECT_TRUE(make_slurm({})->requeue("9"));
  EXPECT_THAT(fake.calls("scontrol").back().arguments, ElementsAre("update", "JobId=9", "StartTime=now"));
  fake.answer("scontrol-requeue", "", "Unable to contact slurm controller (connect failure)\n", 1);
  testing::error_of(ExitCode::busy, [] { make_slurm({})->requeue("9"); });
}

TEST(OwnJob, OutsideOfAJobIsNone) {
  unsetenv("SLURM_JOB_ID");
  unsetenv("SLURM_JOBID");
  EXPECT_EQ(own_job(), std::nullopt);
}

TEST(OwnJob, IsReadFromTheEnvironmentWhereSlurmDoesNotAnswer) {
  testing::FakeSlurm fake;
  fake.answer("job", "", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n", 1);
  const std::map<std::string, std::string> job = {{"SLURM_JOB_ID", "5"},
                                                  {"SLURM_ARRAY_JOB_ID", "4"},
                                                  {"SLURM_ARRAY_TASK_ID", "7"},
                                                  {"SLURM_RESTART_COUNT", "2"},
                                                  {"SLURM_JOB_END_TIME", "1000"},
                                                  {"SLURM_JOB_NODELIST", "n[1-3]"},
                                                  {"SLURM_JOB_CPUS_PER_NODE", "16(x2),8"},
                                                  {"SLURM_GPUS_ON_NODE", "4"}};
  for (const auto& [name, value] : job) setenv(name.c_str(), value.c_str(), 1);
  const auto own = own_job();
  for (const auto& [name, value] : job) unsetenv(name.c_str());
  ASSERT_TRUE(own);
  EXPECT_EQ(own->id, "5");
  EXPECT_EQ(own->array_job, "4");
  EXPECT_EQ(own->array_task, "7");
  EXPECT_EQ(own->restarts, 2);
  EXPECT_EQ(own->end, 1000);
  ASSERT_THAT(own->hosts, SizeIs(3));
  EXPECT_EQ(own->hosts[1].cpus, 16);
  EXPECT_EQ(own->hosts[2].name, "n3");
  EXPECT_EQ(own->hosts[2].cpus, 8);
  EXPECT_EQ(own->hosts[2].gpus, 4);
}

TEST(JobHosts, OfStrangeTextAreNone) {
  EXPECT_THAT(parse_job_hosts(""), IsEmpty());
  EXPECT_THAT(parse_job_hosts("JobId=5 NumNodes=2 ReqNodeList=(null) Nodes=n1"), IsEmpty());
}

}  // namespace
}  // namespace muster
