#include "slurm/job_request.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "slurm/command.hpp"
#include "tests/support/processes.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Not;
using ::testing::StartsWith;

constexpr const char* kStrange =
    "a 'b' \"c\" $(touch evil) `touch evil`; touch evil & | * ? ~ \\ #\n--wrap=evil\n";

TEST(SlurmTime, IsReadInEveryFormOfSbatch) {
  EXPECT_EQ(parse_slurm_time("90"), 5400);
  EXPECT_EQ(parse_slurm_time("1:30"), 90);
  EXPECT_EQ(parse_slurm_time("1:30:00"), 5400);
  EXPECT_EQ(parse_slurm_time("2-0"), 172800);
  EXPECT_EQ(parse_slurm_time("2-12:30"), 217800);
  EXPECT_EQ(parse_slurm_time("2-12:30:15"), 217815);
  EXPECT_EQ(parse_slurm_time("UNLIMITED"), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(parse_slurm_time("infinite"), std::numeric_limits<std::int64_t>::max());
}

TEST(SlurmTime, ThatIsNoneIsNotRead) {
  for (const char* text : {"", "x", "1h", "-1", "1:2:3:4", "1-", "-", "1-2:3:4:5", "1:", ":1", " 1", "1 ",
                           "1-2-3", "99999999999999999999", "1.5"})
    EXPECT_EQ(parse_slurm_time(text), std::nullopt) << text;
}

TEST(SlurmTime, IsWrittenAsSlurmDoes) {
  EXPECT_EQ(format_slurm_time(217815), "2-12:30:15");
  EXPECT_EQ(format_slurm_time(59), "00:00:59");
  EXPECT_EQ(format_slurm_time(std::numeric_limits<std::int64_t>::max()), "UNLIMITED");
}

TEST(ShellQuoted, LeavesPlainWordsAlone) {
  EXPECT_EQ(shell_quoted("/opt/a-b_c.d:e@f%g+1"), "/opt/a-b_c.d:e@f%g+1");
  EXPECT_EQ(shell_quoted(""), "''");
  EXPECT_EQ(shell_quoted("it's"), "'it'\\''s'");
}

TEST(ShellQuoted, IsOneWordOfBashWhateverItHolds) {
  std::string bytes;
  for (int byte = 1; byte < 256; ++byte) bytes += static_cast<char>(byte);
  for (const std::string& text :
       {std::string(kStrange), bytes, std::string("'"), std::string("~"), std::string("=a")}) {
    const CommandResult result = run_command({"bash", "-c", "printf '%s|' " + shell_quoted(text)});
    EXPECT_EQ(result.out, text + "|");
  }
}

JobRequest small_request() {
  JobRequest request;
  request.name = "sweep";
  request.token = "muster:k1:3";
  request.nodes = 2;
  request.tasks_per_node = 4;
  request.cpus_per_task = 8;
  request.gpus_per_node = 4;
  request.command = {"/opt/muster", "continue", "/runs/sweep"};
  request.working_folder = "/home/ann";
  request.output = "/runs/sweep/submissions/3/slurm-%j.out";
  return request;
}

TEST(SbatchArguments, AreTheRequest) {
  EXPECT_THAT(
      sbatch_arguments({}, small_request()),
      ElementsAre("--parsable", "--job-name=sweep", "--comment=muster:k1:3", "--nodes=2",
                  "--ntasks-per-node=4", "--cpus-per-task=8", "--gres=gpu:4", "--kill-on-invalid-dep=yes",
                  "--chdir=/home/ann", "--output=/runs/sweep/submissions/3/slurm-%j.out",
                  "--open-mode=append", "--signal=B:USR1@120", "--requeue"));
}

TEST(SbatchArguments, HaveEveryOptionOfTheFile) {
  JobRequest request = small_request();
  SlurmOptions& options = request.options;
  options.partition = "gpu";
  options.account = "phys";
  options.qos = "long";
  options.constraint = "ib&a100";
  options.reservation = "maint";
  options.container = "/images/a";
  options.gpu_type = "a100";
  options.mem = "32G";
  options.mem_per_cpu = "2G";
  options.time = "02:00:00";
  options.mail_user = "ann@site";
  options.mail_type = "END,FAIL";
  options.exclude = "n[3-4]";
  options.array_throttle = 5;
  options.requeue = false;
  options.sbatch = {{"exclusive", ""}, {"licenses", "matlab:1"}};
  request.array = "0-9";
  request.after = {"12", "34"};
  EXPECT_THAT(
      sbatch_arguments({}, request),
      IsSupersetOf({"--partition=gpu", "--account=phys", "--qos=long", "--constraint=ib&a100",
                    "--reservation=maint", "--container=/images/a", "--gres=gpu:a100:4", "--mem=32G",
                    "--mem-per-cpu=2G", "--time=02:00:00", "--mail-user=ann@site", "--mail-type=END,FAIL",
                    "--exclude=n[3-4]", "--array=0-9%5", "--dependency=afterok:12:34", "--no-requeue",
                    "--exclusive", "--licenses=matlab:1"}));
}

TEST(SbatchArguments, AskForNoGpusWhereNoneAreNeeded) {
  JobRequest request = small_request();
  request.gpus_per_node = 0;
  request.options.gpu_type = "a100";
  EXPECT_THAT(sbatch_arguments({}, request), Not(Contains(StartsWith("--gres"))));
}

TEST(SbatchArguments, KeepTheSignalWithinWhatSlurmTakes) {
  JobRequest request = small_request();
  request.signal_seconds = 100'000;
  EXPECT_THAT(sbatch_arguments({}, request), Contains("--signal=B:USR1@65535"));
}

TEST(BatchScript, SourcesThenLoadsThenBecomesTheCommand) {
  JobRequest request = small_request();
  request.options.prologue = "/site/start.sh";
  request.options.modules = {"gcc/12", "openmpi"};
  EXPECT_EQ(
      batch_script({}, request),
      "#!/bin/bash\n"
      "[ -r /site/start.sh ] || { echo 'muster: the prologue /site/start.sh cannot be read' >&2; exit 3; }\n"
      ". /site/start.sh\n"
      "type module >/dev/null 2>&1 || . /etc/profile\n"
      "module load gcc/12 openmpi || { echo 'muster: the modules cannot be loaded' >&2; exit 3; }\n"
      "exec /opt/muster continue /runs/sweep\n");
}

TEST(BatchScript, HoldsNoOptionOfSbatch) {
  JobRequest request = small_request();
  request.options.partition = "gpu";
  request.options.sbatch = {{"licenses", "x"}};
  EXPECT_EQ(batch_script({}, request), "#!/bin/bash\nexec /opt/muster continue /runs/sweep\n");
}

/// The script run by bash in a folder of its own, where `module` writes down its arguments.
struct ScriptRun {
  testing::TemporaryFolder folder;
  CommandResult result;

  explicit ScriptRun(const JobRequest& request) {
    const std::string module =
        "module() { printf '%s|' \"$@\" >>modules; [ \"$2\" != missing ]; }\nexport -f module\ncd " +
        shell_quoted(folder.path()) + "\n";
    testing::write_text(folder / "script.sh", batch_script({}, request));
    result = run_command({"bash", "-c", module + "bash script.sh"});
  }
};

TEST(BatchScript, HandsStrangeValuesOnAsData) {
  JobRequest request = small_request();
  request.options.modules = {kStrange, "second one"};
  request.command = {"printf", "%s|", kStrange, "", "plain"};
  const ScriptRun run(request);
  EXPECT_EQ(run.result.out, std::string(kStrange) + "||plain|");
  EXPECT_EQ(testing::text_of(run.folder / "modules"), "load|" + std::string(kStrange) + "|second one|");
  EXPECT_FALSE(std::filesystem::exists(run.folder / "evil"));
}

TEST(BatchScript, SourcesAPrologueOfAStrangeName) {
  const testing::TemporaryFolder site;
  const std::filesystem::path prologue = site / "it's $(touch evil); here\n.sh";
  testing::write_text(prologue, "export FROM_PROLOGUE=yes\n");
  JobRequest request = small_request();
  request.options.prologue = prologue;
  request.command = {"printenv", "FROM_PROLOGUE"};
  const ScriptRun run(request);
  EXPECT_EQ(run.result.out, "yes\n");
  EXPECT_FALSE(std::filesystem::exists(run.folder / "evil"));
}

TEST(BatchScript, EndsWhereThePrologueOrAModuleIsMissing) {
  JobRequest request = small_request();
  request.command = {"echo", "reached"};
  request.options.prologue = "/nonexistent/start.sh";
  const ScriptRun without_prologue(request);
  EXPECT_EQ(without_prologue.result.exit_code, 3);
  EXPECT_EQ(without_prologue.result.out, "");
  EXPECT_THAT(without_prologue.result.err, HasSubstr("/nonexistent/start.sh cannot be read"));
  request.options.prologue = "";
  request.options.modules = {"missing"};
  const ScriptRun without_module(request);
  EXPECT_EQ(without_module.result.exit_code, 3);
  EXPECT_EQ(without_module.result.out, "");
}

}  // namespace
}  // namespace muster
