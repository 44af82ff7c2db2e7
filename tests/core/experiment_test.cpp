#include "core/experiment.hpp"

#include <gtest/gtest.h>

#include <string>

#include "core/matrix.hpp"
#include "tests/support/error_of.hpp"
#include "tests/support/processes.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

using testing::error_of;
using testing::TemporaryFolder;
using testing::write_text;

Experiment read(const std::string& text) {
  const TemporaryFolder folder;
  write_text(folder / "x.toml", text);
  return read_experiment(folder / "x.toml");
}

/// The message, with the file named x.toml alone.
std::string message_of(const std::string& text) {
  const TemporaryFolder folder;
  write_text(folder / "x.toml", text);
  const std::string message = error_of(ExitCode::config, [&] {
    const Experiment experiment = read_experiment(folder / "x.toml");
    expand(experiment.matrix, experiment.file);
  });
  const std::string prefix = folder.path().string() + "/";
  EXPECT_EQ(message.find(prefix), 0U) << message;
  return message.substr(prefix.size());
}

constexpr const char* kWhole = R"(name = "quickstart"
workload = "ddp"

[resources]
ranks = 2
cpus_per_rank = 3
gpus_per_rank = 1
oversubscribe = true
exclusive = true

[policy]
checkpoint_seconds = 30
checkpoint_steps = 100
max_attempts = 5
kill_after_seconds = 2.5

[parameters]
network = "resnet9"
lr = 0.4
milestones = [1, 2.5]
exchange.algorithm = "ring"
exchange.bucket.megabytes = 25

[matrix]
zip = { width = [16, 32], depth = [1, 2] }
include = [ { seed = 7, "exchange.algorithm" = "tree" } ]
exclude = [ { seed = 2, "resources.ranks" = 1 } ]
[matrix.grid]
seed = [0, 1, 2]
resources.ranks = [1, 2]
"exchange.algorithm" = ["ring"]
)";

TEST(Experiment, ReadsEverythingThatAFileCanSay) {
  const Experiment experiment = read(kWhole);
  EXPECT_EQ(experiment.name, "quickstart");
  EXPECT_EQ(experiment.workload, "ddp");
  EXPECT_EQ(experiment.resources, (Resources{2, 3, 1, true, true}));
  EXPECT_EQ(experiment.policy.checkpoint_seconds, 30);
  EXPECT_EQ(experiment.policy.checkpoint_steps, 100);
  EXPECT_EQ(experiment.policy.max_attempts, 5);
  EXPECT_EQ(experiment.policy.kill_after_seconds, 2.5);
  const Parameters expected = {{"network", "resnet9"},
                               {"lr", 0.4},
                               {"milestones", Value::List{1.0, 2.5}},
                               {"exchange.algorithm", "ring"},
                               {"exchange.bucket.megabytes", 25}};
  EXPECT_EQ(experiment.parameters, expected);
  ASSERT_EQ(experiment.matrix.grid.size(), 3U);
  EXPECT_EQ(experiment.matrix.grid[0].key, "seed");
  EXPECT_EQ(experiment.matrix.grid[1].key, "resources.ranks");
  EXPECT_EQ(experiment.matrix.grid[2].key, "exchange.algorithm");
  EXPECT_EQ(experiment.matrix.grid[1].place.line, 30);
  ASSERT_EQ(experiment.matrix.zip.size(), 2U);
  EXPECT_EQ(experiment.matrix.zip[0].key, "width");
  EXPECT_EQ(experiment.matrix.include.at(0).at("exchange.algorithm"), Value("tree"));
  EXPECT_EQ(experiment.matrix.exclude.at(0).at("resources.ranks"), Value(1));
  EXPECT_EQ(experiment.places.at("parameters.lr").line, 19);
  EXPECT_EQ(experiment.places.at("matrix.grid.seed[2]").line, 29);
  EXPECT_EQ(expand(experiment.matrix, "x.toml").size(), 3U * 2 * 2 - 2 + 1);
}

TEST(Experiment, DefaultsAreOneTaskOnOneCore) {
  const Experiment experiment = read("name = \"a\"\nworkload = \"exec\"\ncommand = [\"true\"]\n");
  EXPECT_EQ(experiment.resources, Resources{});
  EXPECT_EQ(experiment.command, std::vector<std::string>{"true"});
  EXPECT_EQ(expand(experiment.matrix, "x.toml"), std::vector<Cell>{Cell{}});
}

TEST(Experiment, AByteOrderMarkAndWindowsLinesAreNoMatter) {
  EXPECT_EQ(read("\xEF\xBB\xBFname = \"a\"\r\nworkload = \"ddp\"\r\n").name, "a");
}

struct Wrong {
  const char* text;  ///< after the first two lines where it begins with a newline
  const char* message;
};

std::string whole_text(const std::string& text) {
  return text.starts_with("\n") ? "name = \"a\"\nworkload = \"ddp\"" + text : text;
}

TEST(Experiment, EveryMistakeHasItsPlaceAndItsCure) {
  const Wrong cases[] = {
      // Syntax
      {"name = ",
       "x.toml:1:8: not valid TOML: Error while parsing key-value pair: encountered end-of-file; see "
       "https://toml.io"},
      {"name = \"a\"\nname = \"b\"",
       "x.toml:2:8: not valid TOML: Error while parsing key-value pair: cannot redefine existing string "
       "'name'; see https://toml.io"},
      // The root
      {"\nparmeters = 1",
       "x.toml:3:1: unknown key 'parmeters' in the experiment; did you mean 'parameters'?"},
      {"\n[kubernetes]",
       "x.toml:3:2: unknown key 'kubernetes' in the experiment; known are: name, workload, command, "
       "resources, "
       "policy, slurm, parameters, matrix, stages"},
      {"workload = \"ddp\"",
       "x.toml: the experiment has no 'name'; give it one, as name = \"quickstart\": it names the results' "
       "folder"},
      {"name = \"a\"",
       "x.toml: the experiment has no 'workload'; name a built-in one (\"ddp\"), your own (\"./mine.so\") or "
       "\"exec\""},
      {"",
       "x.toml: the experiment has no 'name'; give it one, as name = \"quickstart\": it names the results' "
       "folder"},
      {"name = 3", "x.toml:1:8: 'name' must be a string, not the integer 3"},
      {"name = \"a/b\"",
       "x.toml:1:8: the name \"a/b\" cannot be a folder's; use letters, digits, '.', '_' and '-', at most "
       "100, and begin with a letter, digit or '_'"},
      {"name = \"..\"",
       "x.toml:1:8: the name \"..\" cannot be a folder's; use letters, digits, '.', '_' and '-', at most "
       "100, and begin with a letter, digit or '_'"},
      {"name = \"\"",
       "x.toml:1:8: the name \"\" cannot be a folder's; use letters, digits, '.', '_' and '-', at most 100, "
       "and begin with a letter, digit or '_'"},
      {"name = \"a\"\nworkload = \"\"",
       "x.toml:2:12: the workload's name is empty; name a built-in one (\"ddp\"), your own (\"./mine.so\") "
       "or \"exec\""},
      // exec
      {"name = \"a\"\nworkload = \"exec\"",
       "x.toml:2:12: the workload 'exec' has no command to run; give one, as command = [\"python\", "
       "\"train.py\", \"--lr\", \"{lr}\"]"},
      {"name = \"a\"\nworkload = \"exec\"\ncommand = []",
       "x.toml:3:11: the command is empty; give one, as command = [\"python\", \"train.py\", \"--lr\", "
       "\"{lr}\"]"},
      {"name = \"a\"\nworkload = \"exec\"\ncommand = \"ls -l\"",
       "x.toml:3:11: 'command' must be a list of strings, not the string \"ls -l\""},
      {"name = \"a\"\nworkload = \"exec\"\ncommand = [\"ls\", 1]",
       "x.toml:3:18: 'command[1]' must be a string, not the integer 1"},
      {"\ncommand = [\"ls\"]",
       "x.toml:3:1: a command is given, but the workload is 'ddp'; a command goes with workload = \"exec\""},
      // [resources]
      {"\nresources = 2", "x.toml:3:13: 'resources' must be a table, not the integer 2"},
      {"\n[resources]\nrank = 2", "x.toml:4:1: unknown key 'rank' in [resources]; did you mean 'ranks'?"},
      {"\n[resources]\nranks = 2.0", "x.toml:4:9: 'resources.ranks' must be an integer, not the float 2.0"},
      {"\n[resources]\nranks = 0",
       "x.toml:4:9: 'resources.ranks' cannot be 0; give a number from 1 to 1000000"},
      {"\n[resources]\nranks = 99999999999",
       "x.toml:4:9: 'resources.ranks' cannot be 99999999999; give a number from 1 to 1000000"},
      {"\n[resources]\ncpus_per_rank = -1",
       "x.toml:4:17: 'resources.cpus_per_rank' cannot be -1; give a number from 1 to 1000000"},
      {"\n[resources]\ngpus_per_rank = -1",
       "x.toml:4:17: 'resources.gpus_per_rank' cannot be -1; give a number from 0 to 1000000"},
      {"\n[resources]\ngpus_per_rank = 0.4",
       "x.toml:4:17: 'resources.gpus_per_rank' cannot be 0.4; ranks have whole GPUs, or one GPU for n of "
       "them, "
       "as 1/n: 0.5, 0.333, 0.25, 0.2, ... down to 0.0208"},
      {"\n[resources]\ngpus_per_rank = 1.5",
       "x.toml:4:17: 'resources.gpus_per_rank' cannot be 1.5; ranks have whole GPUs, or one GPU for n of "
       "them, "
       "as 1/n: 0.5, 0.333, 0.25, 0.2, ... down to 0.0208"},
      {"\n[resources]\ngpus_per_rank = \"half\"",
       "x.toml:4:17: 'resources.gpus_per_rank' must be a number, not the string \"half\""},
      {"\n[resources]\ngpu_sharing = \"time\"",
       "x.toml:4:15: 'resources.gpu_sharing' cannot be \"time\"; known are: time-slicing, mps"},
      {"\n[matrix.grid]\nresources.gpu_sharing = [\"mps\", \"msp\"]",
       "x.toml:4:33: 'resources.gpu_sharing' cannot be \"msp\"; did you mean 'mps'?"},
      {"\n[resources]\nexclusive = 1",
       "x.toml:4:13: 'resources.exclusive' must be a boolean, not the integer 1"},
      {"\n[resources.ranks]\na = 1", "x.toml:3:1: 'resources.ranks' must be a value, not a table"},
      // [policy]
      {"\n[policy]\nmax_attempt = 1",
       "x.toml:4:1: unknown key 'max_attempt' in [policy]; did you mean 'max_attempts'?"},
      {"\n[policy]\nmax_attempts = 0",
       "x.toml:4:16: 'policy.max_attempts' cannot be 0; give a number from 1 to 1000000"},
      {"\n[policy]\ncheckpoint_seconds = \"1\"",
       "x.toml:4:22: 'policy.checkpoint_seconds' must be a number of seconds, not the string \"1\""},
      {"\n[policy]\nkill_after_seconds = -inf",
       "x.toml:4:22: 'policy.kill_after_seconds' cannot be -inf; give seconds, 0 or more"},
      {"\n[policy]\ncheckpoint_steps = 1.5",
       "x.toml:4:20: 'policy.checkpoint_steps' must be an integer, not the float 1.5"},
      // [parameters]
      {"\n[parameters]\nlr = nan",
       "x.toml:4:6: nan is no value: it does not even equal itself; give a number"},
      {"\n[parameters]\nwhen = 2026-11-21",
       "x.toml:4:8: a date or time is no value that muster knows; put it in quotes"},
      {"\n[parameters]\nx = \"a\\u0000b\"",
       "x.toml:4:5: a zero byte is in this text, which no path or argument can hold; remove it"},
      {"\n[parameters]\na = [1, \"x\"]",
       "x.toml:4:9: a list holds values of one kind, but this is a string after a integer; give values of "
       "one kind"},
      {"\n[parameters]\na = [{b = 1}]",
       "x.toml:4:6: a table stands where a value belongs; give a boolean, number, string or list"},
      {"\n[parameters]\na.b = 1\n\"a.b\" = 2", "x.toml:5:1: 'a.b' is given twice; keep one of them"},
      {"\n[parameters]\n\"a b\" = 1",
       "x.toml:4:1: 'a b' cannot be a name; use letters, digits, '_', '-' and '.'"},
      // [matrix]
      {"\n[matrix]\ngird = {}", "x.toml:4:1: unknown key 'gird' in [matrix]; did you mean 'grid'?"},
      {"\n[matrix]\ngrid = [1]", "x.toml:4:8: 'matrix.grid' must be a table, not a list"},
      {"\n[matrix.grid]\nlr = []",
       "x.toml:4:6: axis 'lr' has no values, so there would be no tasks; give it values, or remove it"},
      {"\n[matrix.grid]\nlr = 0.1",
       "x.toml:4:6: axis 'lr' must be a list of values, not the float 0.1; write [0.1], or move it to "
       "[parameters]"},
      {"\n[matrix.grid]\nlr = [0.1, 0.2, 0.1]",
       "x.toml:4:1: the matrix holds a cell twice: lr = 0.1; remove one of them"},
      {"\n[matrix.grid]\nlr = [1, 1.0]",
       "x.toml:4:1: the matrix holds a cell twice: lr = 1.0; remove one of them"},
      {"\n[matrix.zip]\na = [1, 2]\nb = [1, 2, 3]",
       "x.toml:5:1: zip axes go side by side, but 'b' has 3 values and 'a' has 2; give them as many, or move "
       "one to grid"},
      {"\n[matrix]\ngrid.a = [1]\nzip.a = [2]",
       "x.toml:5:5: axis 'a' is in both grid and zip; keep one of them"},
      {"\n[matrix.grid]\nresources.ranks = [1, 0]",
       "x.toml:4:23: 'resources.ranks' cannot be 0; give a number from 1 to 1000000"},
      {"\n[matrix.grid]\nresources.rank = [1]",
       "x.toml:4:19: unknown resource 'rank'; did you mean 'ranks'?"},
      {"\n[matrix]\ninclude = { a = 1 }",
       "x.toml:4:11: 'matrix.include' must be a list of tables, not a table"},
      {"\n[matrix]\ninclude = [1]", "x.toml:4:12: 'matrix.include[0]' must be a table, not the integer 1"},
      {"\n[matrix]\ninclude = [{}]",
       "x.toml:4:12: 'matrix.include[0]' is empty; give it values, or remove it"},
      {"\n[matrix]\ngrid.a = [1]\ninclude = [{a = 2}, {a = 1}]",
       "x.toml:5:21: the matrix holds a cell twice: a = 1; remove one of them"},
      {"\n[matrix]\ngrid.seed = [1]\nexclude = [{seed = 2}]",
       "x.toml:5:12: this exclude matches no cell (seed = 2); correct its values, or remove it"},
      {"\n[matrix]\ngrid.seed = [1]\nexclude = [{sede = 1}]",
       "x.toml:5:12: this exclude matches no cell (sede = 1); 'sede' is no axis: did you mean 'seed'?"},
      {"\n[matrix]\ngrid.seed = [1]\nexclude = [{seed = 1}]",
       "x.toml:5:12: nothing is left of the matrix; exclude less"},
      {"\n[parameters]\na = [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]",
       "x.toml:4:20: this is nested deeper than anything muster knows; flatten it"},
  };
  for (const Wrong& wrong : cases) EXPECT_EQ(message_of(whole_text(wrong.text)), wrong.message) << wrong.text;
}

TEST(Experiment, AFileThatIsNotThereIsNamed) {
  EXPECT_EQ(error_of(ExitCode::config, [] { read_experiment("nowhere/x.toml"); }),
            "cannot read 'nowhere/x.toml': No such file or directory; check the path");
}

TEST(Experiment, AMatrixTooLargeToPlanIsRefusedAtOnce) {
  std::string axis = "[0";
  for (int i = 1; i < 1000; ++i) axis += ", " + std::to_string(i);
  axis += "]";
  EXPECT_EQ(message_of(whole_text("\n[matrix.grid]\na = " + axis + "\nb = " + axis + "\nc = " + axis + "\n")),
            "x.toml:5:1: the matrix has more than 100000 cells; split the experiment");
}

}  // namespace
}  // namespace muster
