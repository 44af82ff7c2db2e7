#include "core/slurm_options_reader.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "core/experiment.hpp"
#include "core/task.hpp"
#include "tests/support/error_of.hpp"
#include "tests/support/processes.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

using testing::error_of;
using testing::TemporaryFolder;
using testing::write_text;

constexpr const char* kHead = "name = \"a\"\nworkload = \"ddp\"\n";

/// $XDG_CONFIG_HOME of its own, put back at the end.
class SlurmOptionsTest : public ::testing::Test {
 protected:
  SlurmOptionsTest() {
    if (const char* value = std::getenv("XDG_CONFIG_HOME")) before_ = value;
    setenv("XDG_CONFIG_HOME", (folder_ / "config").c_str(), 1);
  }
  ~SlurmOptionsTest() override {
    if (before_) {
      setenv("XDG_CONFIG_HOME", before_->c_str(), 1);
    } else {
      unsetenv("XDG_CONFIG_HOME");
    }
  }

  Experiment read(const std::string& text) {
    write_text(folder_ / "x.toml", kHead + text);
    return read_experiment(folder_ / "x.toml");
  }
  /// The message, without the folder.
  std::string message_of(const std::string& text) {
    const std::string message = error_of(ExitCode::config, [&] { read(text); });
    return message.substr(folder_.path().string().size() + 1);
  }
  void site(const std::string& text) {
    std::filesystem::create_directories(folder_ / "config/muster");
    write_text(folder_ / "config/muster/slurm.toml", text);
  }
  SlurmOptions with_site(const std::string& text) {
    Experiment experiment = read(text);
    places_ = experiment.places;
    return with_site_defaults(experiment.slurm, places_);
  }

  TemporaryFolder folder_;
  Places places_;

 private:
  std::optional<std::string> before_;
};

TEST_F(SlurmOptionsTest, EveryKeyIsRead) {
  const Experiment experiment = read(R"([slurm]
partition = "gpu"
account = "phys"
qos = "long"
constraint = "a&b"
gpu_type = "a100"
mem = "32G"
time = "02:00:00"
reservation = "course"
mail_user = "me@site.org"
mail_type = "END,FAIL"
modules = ["openmpi/4", "hdf5"]
prologue = "../site/setup.sh"
container = "image.sif"
exclude = "n[1-3]"
nodes = 2
array_throttle = 50
requeue = false
[slurm.sbatch]
nice = 100
spread-job = true
hold = false
licenses = "quote\" $(id); newline\n"
)");
  const SlurmOptions& options = experiment.slurm;
  EXPECT_EQ(options.partition, "gpu");
  EXPECT_EQ(options.account, "phys");
  EXPECT_EQ(options.qos, "long");
  EXPECT_EQ(options.constraint, "a&b");
  EXPECT_EQ(options.gpu_type, "a100");
  EXPECT_EQ(options.mem, "32G");
  EXPECT_EQ(options.mem_per_cpu, "");
  EXPECT_EQ(options.time, "02:00:00");
  EXPECT_EQ(options.reservation, "course");
  EXPECT_EQ(options.mail_user, "me@site.org");
  EXPECT_EQ(options.mail_type, "END,FAIL");
  EXPECT_EQ(options.modules, (std::vector<std::string>{"openmpi/4", "hdf5"}));
  EXPECT_EQ(options.prologue, (folder_.path().parent_path() / "site/setup.sh").string());
  EXPECT_EQ(options.container, "image.sif");
  EXPECT_EQ(options.exclude, "n[1-3]");
  EXPECT_EQ(options.nodes, 2);
  EXPECT_EQ(options.array_throttle, 50);
  EXPECT_FALSE(options.requeue);
  EXPECT_EQ(options.sbatch,
            (std::map<std::string, std::string>{
                {"nice", "100"}, {"spread-job", ""}, {"licenses", "quote\" $(id); newline\n"}}));
  EXPECT_EQ(experiment.places.at("slurm.partition").line, 4);
  EXPECT_EQ(experiment.places.at("slurm.sbatch.nice").line, 22);
}

TEST_F(SlurmOptionsTest, PlainNumbersAreTakenWhereSbatchTakesThem) {
  const SlurmOptions options = read("[slurm]\nmem_per_cpu = 2000\ntime = 90\n").slurm;
  EXPECT_EQ(options.mem_per_cpu, "2000");
  EXPECT_EQ(options.time, "90");
  EXPECT_TRUE(options.requeue);
}

TEST_F(SlurmOptionsTest, EveryMistakeHasItsPlaceAndItsCure) {
  const std::pair<const char*, const char*> cases[] = {
      {"slurm = 2", "x.toml:3:9: 'slurm' must be a table, not the integer 2"},
      {"[slurm]\npartitoin = \"x\"",
       "x.toml:4:1: unknown key 'partitoin' in [slurm]; did you mean 'partition'?"},
      {"[slurm]\npartition = 2", "x.toml:4:13: 'slurm.partition' must be a string, not the integer 2"},
      {"[slurm]\npartition = \"\"", "x.toml:4:13: 'slurm.partition' is empty; give it a value, or remove it"},
      {"[slurm]\nnodes = 0", "x.toml:4:9: 'slurm.nodes' cannot be 0; give a number from 1 to 1000000"},
      {"[slurm]\nnodes = \"2\"", "x.toml:4:9: 'slurm.nodes' must be an integer, not the string \"2\""},
      {"[slurm]\nrequeue = 1", "x.toml:4:11: 'slurm.requeue' must be a boolean, not the integer 1"},
      {"[slurm]\ntime = 1.5", "x.toml:4:8: 'slurm.time' must be a string, not the float 1.5"},
      {"[slurm]\nmem = -1", "x.toml:4:7: 'slurm.mem' cannot be -1; give a number from 0"},
      {"[slurm]\nmem = \"1G\"\nmem_per_cpu = \"1G\"",
       "x.toml:5:1: 'slurm.mem' and 'slurm.mem_per_cpu' are both given, of which Slurm takes one; remove one "
       "of them"},
      {"[slurm]\nmodules = \"a\"",
       "x.toml:4:11: 'slurm.modules' must be a list of strings, not the string \"a\""},
      {"[slurm]\nmodules = [\"a\", 2]",
       "x.toml:4:17: 'slurm.modules[1]' must be a module's name, not the integer 2"},
      {"[slurm]\nsbatch = 2", "x.toml:4:10: 'slurm.sbatch' must be a table, not the integer 2"},
      {"[slurm.sbatch]\narray = \"0-3\"",
       "x.toml:4:1: the option '--array' of sbatch cannot be given here; muster numbers arrays itself: use "
       "'muster submit --array', and array_throttle under [slurm]"},
      {"[slurm.sbatch]\ncomment = \"x\"",
       "x.toml:4:1: the option '--comment' of sbatch cannot be given here; muster finds its jobs by their "
       "comment"},
      {"[slurm.sbatch]\nmail-user = \"x\"",
       "x.toml:4:1: the option '--mail-user' of sbatch cannot be given here; give it as mail_user under "
       "[slurm]"},
      {"[slurm.sbatch]\n--nice = 1",
       "x.toml:4:1: \"--nice\" cannot be a long option of sbatch; write its name without the dashes before "
       "it, as in spread-job = true"},
      {"[slurm.sbatch]\n\"nice=1 --wrap\" = 1",
       "x.toml:4:1: \"nice=1 --wrap\" cannot be a long option of sbatch; write its name without the dashes "
       "before it, as in spread-job = true"},
      {"[slurm.sbatch]\nnice = 1.5",
       "x.toml:4:8: 'slurm.sbatch.nice' must be a string, an integer or a boolean, not the float 1.5"},
      {"[slurm.sbatch]\nnice = \"\"",
       "x.toml:4:8: 'slurm.sbatch.nice' is empty; write nice = true for an option without a value"},
  };
  for (const auto& [text, message] : cases) EXPECT_EQ(message_of(text), message) << text;
}

TEST_F(SlurmOptionsTest, TheExperimentCountsForMoreThanTheSite) {
  site(
      "partition = \"cpu\"\naccount = \"phys\"\nmem_per_cpu = \"2G\"\nrequeue = false\nprologue = \"p.sh\"\n"
      "[sbatch]\nnice = 5\nspread-job = true\n");
  const SlurmOptions options =
      with_site("[slurm]\npartition = \"gpu\"\nmem = \"8G\"\n[slurm.sbatch]\nnice = 7\nspread-job = false\n");
  EXPECT_EQ(options.partition, "gpu");
  EXPECT_EQ(options.account, "phys");
  EXPECT_EQ(options.mem, "8G");
  EXPECT_EQ(options.mem_per_cpu, "");
  EXPECT_FALSE(options.requeue);
  EXPECT_EQ(options.prologue, (folder_ / "config/muster/p.sh").string());
  EXPECT_EQ(options.sbatch, (std::map<std::string, std::string>{{"nice", "7"}}));
  EXPECT_EQ(places_.at("slurm.partition").file.filename(), "x.toml");
  EXPECT_EQ(places_.at("slurm.account").file.filename(), "slurm.toml");
  EXPECT_TRUE(with_site("[slurm]\nrequeue = true\n").requeue);
}

TEST_F(SlurmOptionsTest, WithoutASitesFileTheExperimentsStand) {
  EXPECT_EQ(with_site("[slurm]\nqos = \"x\"\n").qos, "x");
  EXPECT_EQ(with_site("").qos, "");
}

TEST_F(SlurmOptionsTest, AMistakeOfTheSiteNamesItsFile) {
  site("acount = \"phys\"\n");
  const std::string message = error_of(ExitCode::config, [&] { with_site(""); });
  EXPECT_NE(
      message.find("config/muster/slurm.toml:1:1: unknown key 'acount' in [slurm]; did you mean 'account'?"),
      std::string::npos)
      << message;
}

TEST_F(SlurmOptionsTest, NoneOfThemIsInATasksId) {
  const WorkloadSchema schema{.name = "ddp"};
  const auto id = [&](const std::string& text) {
    return make_tasks(read(text), schema, "", folder_.path()).at(0).id;
  };
  EXPECT_EQ(id(""), id("[slurm]\npartition = \"gpu\"\ntime = 5\nnodes = 3\n"));
}

}  // namespace
}  // namespace muster
