#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <set>

#include "core/run_paths.hpp"
#include "core/task.hpp"
#include "tests/support/error_of.hpp"
#include "tests/support/processes.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using testing::TemporaryFolder;
using testing::write_text;

ParameterSpec make_spec(const std::string& name, ParameterType type, Value value) {
  ParameterSpec spec;
  spec.name = name;
  spec.type = type;
  spec.default_value = std::move(value);
  return spec;
}

WorkloadSchema sample_schema() {
  WorkloadSchema schema{"sample", 1, {}, false};
  schema.parameters = {make_spec("lr", ParameterType::floating, 0.1),
                       make_spec("network", ParameterType::string, "r9"),
                       make_spec("exchange.algorithm", ParameterType::string, "library"),
                       make_spec("log_every", ParameterType::integer, 10),
                       make_spec("data", ParameterType::string, "synthetic")};
  schema.parameters[3].changes_result = false;
  schema.parameters[4].is_data_path = true;
  schema.parameters[4].choices = {"synthetic"};
  return schema;
}

/// Makes tasks from text, in folders of its own.
class MakeTasks : public ::testing::Test {
 protected:
  std::vector<Task> tasks_of(const std::string& text, const WorkloadSchema& schema = sample_schema()) {
    write_text(folder_ / "x.toml", "name = \"x\"\nworkload = \"sample\"\n" + text);
    return make_tasks(read_experiment(folder_ / "x.toml"), schema, "/p/sample.so", runs());
  }
  std::string id_of(const std::string& text, const WorkloadSchema& schema = sample_schema()) {
    return tasks_of(text, schema).at(0).id;
  }
  std::vector<Task> exec_tasks_of(const std::string& text) {
    write_text(folder_ / "x.toml", "name = \"x\"\nworkload = \"exec\"\n" + text);
    return make_tasks(read_experiment(folder_ / "x.toml"), WorkloadSchema{"exec", 1, {}, true}, "", runs());
  }
  /// The message without the folder's name.
  std::string message_of(ExitCode code, const std::function<void()>& call) {
    std::string message = error_of(code, call);
    const std::string prefix = folder_.path().string() + "/";
    for (std::size_t at = message.find(prefix); at != std::string::npos; at = message.find(prefix))
      message.erase(at, prefix.size());
    return message;
  }
  fs::path runs() const { return folder_ / "runs"; }

  TemporaryFolder folder_;
};

TEST_F(MakeTasks, AnIdIsTwelveHexDigitsOfTheDocumentedText) {
  // docs/identity.md has this text; a change of it orphans every result there is.
  EXPECT_EQ(id_of(""), "2420d39e4bb4");
  EXPECT_EQ(id_of("[parameters]\nlr = 0.5\nexchange.algorithm = \"ring\"\n[resources]\nranks = 2"),
            "fab55c5dfce9");
}

TEST_F(MakeTasks, TheOrderOfKeysAndTheirSpellingChangeNoId) {
  const std::string id = id_of("[parameters]\nlr = 1.0\nnetwork = \"r18\"\nexchange.algorithm = \"ring\"\n");
  EXPECT_EQ(id_of("[parameters]\nexchange.algorithm = \"ring\"\nnetwork = \"r18\"\nlr = 1\n"), id);
  EXPECT_EQ(id_of("[parameters]\n\"exchange.algorithm\" = 'ring'\nlr = 1e0\nnetwork = \"\\u007218\"\n"), id);
  EXPECT_EQ(id_of("parameters = { lr = 10e-1, network = \"r18\", exchange = { algorithm = \"ring\" } }\n"),
            id);
}

TEST_F(MakeTasks, DefaultsAndWhatChangesNoResultChangeNoId) {
  const std::string id = id_of("");
  EXPECT_EQ(id_of("[parameters]\nlr = 0.1\nseed = 0\nnetwork = \"r9\"\ndata = \"synthetic\"\n"), id);
  EXPECT_EQ(id_of("[parameters]\nlog_every = 1\n"), id);
  EXPECT_EQ(id_of("[policy]\nmax_attempts = 9\n"), id);
  EXPECT_EQ(id_of("[resources]\nexclusive = true\noversubscribe = true\n"), id);
  EXPECT_EQ(id_of("[matrix.grid]\nlr = [0.1]\n"), id);
}

TEST_F(MakeTasks, ANewParameterAtItsDefaultChangesNoIdAndAnotherResultVersionEvery) {
  const std::string text = "[parameters]\nlr = 0.7\n";
  WorkloadSchema schema = sample_schema();
  const std::string id = id_of(text, schema);
  schema.parameters.push_back(make_spec("momentum", ParameterType::floating, 0));
  EXPECT_EQ(id_of(text, schema), id);
  EXPECT_NE(id_of(text + "momentum = 0.9\n", schema), id);
  schema.result_version = 2;
  EXPECT_NE(id_of(text, schema), id);
}

TEST_F(MakeTasks, WhateverCanChangeAResultChangesTheId) {
  std::set<std::string> ids;
  const std::vector<std::string> texts = {"",
                                          "[parameters]\nlr = 0.2",
                                          "[parameters]\nlr = 0.20000000000000004",
                                          "[parameters]\nnetwork = \"0.2\"",
                                          "[parameters]\nseed = 1",
                                          "[resources]\nranks = 2",
                                          "[resources]\ncpus_per_rank = 2",
                                          "[resources]\ngpus_per_rank = 1",
                                          "[resources]\ngpus_per_rank = 0.5\ngpu_sharing = \"time-slicing\"",
                                          "[resources]\ngpus_per_rank = 0.5\ngpu_sharing = \"mps\"",
                                          "[resources]\ngpus_per_rank = 0.25\ngpu_sharing = \"mps\"",
                                          "[parameters]\nexchange.algorithm = \"ring\"",
                                          "[parameters]\nnetwork = \"a\\nparameter seed 1\""};
  for (const std::string& text : texts) ids.insert(id_of(text));
  EXPECT_EQ(ids.size(), texts.size());
}

TEST_F(MakeTasks, AShareOfAGpuHasOneIdHoweverItIsRounded) {
  const std::string third = "[resources]\ngpu_sharing = \"mps\"\ngpus_per_rank = ";
  EXPECT_EQ(id_of(third + "0.333"), id_of(third + "0.3333333333"));
  const std::string whole = id_of("[resources]\ngpus_per_rank = 1\n");
  EXPECT_EQ(id_of("[resources]\ngpus_per_rank = 1.0\ngpu_sharing = \"mps\"\n"), whole) << "nothing is shared";
}

TEST_F(MakeTasks, AShareOfAGpuIsRefusedWhereNobodySaysHow) {
  const auto message = [&](const std::string& text) {
    return message_of(ExitCode::config, [&] { exec_tasks_of("command = [\"true\"]\n" + text); });
  };
  EXPECT_EQ(
      message("[resources]\ngpus_per_rank = 0.25\n"),
      "x.toml:5:1: 'resources.gpus_per_rank' is 0.25, so 4 ranks share a GPU, and 'gpu_sharing' does not "
      "say how; set gpu_sharing = \"time-slicing\" (they take turns) or \"mps\" (they compute side by "
      "side) under [resources]");
  EXPECT_EQ(message("[matrix.grid]\nresources.gpus_per_rank = [1, 0.5]\n").find("x.toml:5:31: "), 0U);
}

TEST_F(MakeTasks, RandomParametersHaveOneIdWhateverTheirOrder) {
  std::mt19937 random(2);
  std::set<std::string> ids;
  for (int round = 0; round < 40; ++round) {
    std::vector<std::string> lines = {"lr = " + std::to_string(random() % 1000) + ".25",
                                      "seed = " + std::to_string(random() % 100000),
                                      "network = \"n" + std::to_string(random() % 100) + "\""};
    std::string id;
    for (int order = 0; order < 4; ++order) {
      std::shuffle(lines.begin(), lines.end(), random);
      std::string text = "[parameters]\n";
      for (const std::string& line : lines) text += line + "\n";
      const std::string found = id_of(text);
      if (order > 0) {
        ASSERT_EQ(found, id) << text;
      }
      id = found;
    }
    ids.insert(id);
  }
  EXPECT_EQ(ids.size(), 40U);
}

TEST_F(MakeTasks, CellsOverrideParametersAndResources) {
  const auto tasks = tasks_of(
      "[parameters]\nlr = 0.5\n[resources]\nranks = 4\n[matrix.grid]\nresources.ranks = [1, 2]\nlr = [1, "
      "2]\n");
  ASSERT_EQ(tasks.size(), 4U);
  EXPECT_EQ(tasks[1].resources.ranks, 1);
  EXPECT_EQ(tasks[1].parameters.at("lr"), Value(2.0));
  EXPECT_EQ(tasks[3].resources.ranks, 2);
  EXPECT_EQ(tasks[3].label, "ranks2-lr2");
  EXPECT_EQ(tasks[3].plugin, "/p/sample.so");
  EXPECT_EQ(tasks[3].folder_name(), "ranks2-lr2-" + tasks[3].id);
  EXPECT_EQ(tasks[3].seed(), 0U);
}

TEST_F(MakeTasks, LabelsFollowTheFilesOrderAndFitAFolder) {
  const auto label = [this](const std::string& matrix) { return tasks_of(matrix).at(0).label; };
  EXPECT_EQ(label(""), "sample");
  EXPECT_EQ(label("[matrix.grid]\nnetwork = [\"dense net/../x y\"]\nlr = [0.25]"), "x_y-lr0.25");
  EXPECT_EQ(label("[matrix.grid]\nnetwork = [\"..\"]"), "_..");
  EXPECT_EQ(label("[matrix.grid]\nnetwork = [\"\"]"), "network");
  EXPECT_EQ(label("[matrix.grid]\nnetwork = [\"a/b/\"]"), "b");
  EXPECT_EQ(label("[matrix.grid]\nlr = [-1e30]"), "lr-1e+30");
  EXPECT_EQ(label("[matrix]\nzip.seed = [3]\ngrid.\"exchange.algorithm\" = [\"ring\"]"), "ring-seed3");
  EXPECT_EQ(label("[matrix.grid]\nnetwork = [\"" + std::string(300, 'x') + "\"]").size(), 100U);
  EXPECT_EQ(label("[matrix.grid]\nnetwork = [\"-rf\"]"), "_-rf");
}

TEST_F(MakeTasks, TasksWithOneLabelHaveFoldersOfTheirOwn) {
  const auto tasks = tasks_of("[matrix.grid]\nnetwork = [\"a b\", \"a_b\"]\n");
  EXPECT_EQ(tasks[0].label, tasks[1].label);
  EXPECT_NE(tasks[0].folder_name(), tasks[1].folder_name());
}

TEST_F(MakeTasks, ATaskThatHasAFolderKeepsIt) {
  const Task before = tasks_of("[matrix.grid]\nlr = [0.1]\n").at(0);
  fs::create_directories(ExperimentPaths(runs(), "x").task(before.folder_name()).folder());
  const auto tasks = tasks_of("[matrix.grid]\nlr = [0.1]\nseed = [0, 1]\n");
  EXPECT_EQ(tasks[0].folder_name(), before.folder_name());
  EXPECT_EQ(tasks[1].label, "lr0.1-seed1");
}

TEST_F(MakeTasks, MistakesPointAtTheValueInTheMatrix) {
  const auto config = [this](const std::string& text) {
    return message_of(ExitCode::config, [&] { tasks_of(text); });
  };
  EXPECT_EQ(config("[matrix.grid]\nlr = [0.1, \"x\"]"),
            "x.toml:4:12: parameter 'lr' must be a float, not the string \"x\"; its default is 0.1");
  EXPECT_EQ(config("[matrix.grid]\nsede = [1]"),
            "x.toml:4:9: workload 'sample' has no parameter 'sede'; did you mean 'seed'?");
  EXPECT_EQ(config("[matrix]\ngrid.seed = [1]\ninclude = [{seed = -2}]"),
            "x.toml:5:13: parameter 'seed' cannot be -2; give a number at least 0");
  EXPECT_EQ(config("[parameters]\nlrr = 1"),
            "x.toml:4:1: workload 'sample' has no parameter 'lrr'; did you mean 'lr'?");
  EXPECT_EQ(
      config("[matrix.grid]\nlog_every = [1, 2]"),
      "x.toml:4:17: two cells are one and the same task: 'log_every1' and 'log_every2'; what they differ in "
      "changes no result; remove one of them");
}

TEST_F(MakeTasks, ADataSetsContentIsInTheIdAndItsPathIsNot) {
  write_text(folder_ / "a/one.bin", "1");
  write_text(folder_ / "b/one.bin", "1");
  write_text(folder_ / "c/one.bin", "2");
  write_text(folder_ / "d/two.bin", "1");
  const auto id = [&](const std::string& name) {
    return id_of("[parameters]\ndata = \"" + (folder_ / name).string() + "\"\n");
  };
  EXPECT_EQ(id("a"), id("b"));
  EXPECT_EQ(id("a"), id("b/../a/"));
  EXPECT_NE(id("a"), id("c"));
  EXPECT_NE(id("a"), id("d"));
  EXPECT_NE(id("a"), id("a/one.bin"));
  EXPECT_NE(id("a"), id_of(""));
}

TEST_F(MakeTasks, ADataSetAtItsDefaultPathIsInTheIdByItsContent) {
  write_text(folder_ / "data/one.bin", "1");
  WorkloadSchema schema = sample_schema();
  schema.parameters[4].default_value = (folder_ / "data").string();
  const std::string before = id_of("", schema);
  write_text(folder_ / "data/one.bin", "22");
  EXPECT_NE(id_of("", schema), before);
}

TEST_F(MakeTasks, ADataSetsPathIsMadeAbsolute) {
  write_text(folder_ / "data/one.bin", "1");
  const fs::path before = fs::current_path();
  fs::current_path(folder_.path());
  const auto tasks = tasks_of("[parameters]\ndata = \"./data\"\n");
  fs::current_path(before);
  EXPECT_EQ(tasks.at(0).parameters.at("data").as_string(), (folder_ / "data").string());
}

TEST_F(MakeTasks, AMissingDataSetIsNamedAndNothingIsMade) {
  EXPECT_EQ(message_of(ExitCode::data, [&] { tasks_of("[parameters]\ndata = \"/no/cifar\"\n"); }),
            "x.toml:4:1: there is no data set '/no/cifar' (parameter 'data'); give a path that is there; a "
            "relative one "
            "starts at the current folder; or a built-in name: known are: synthetic");
  const std::string text =
      message_of(ExitCode::data, [&] { tasks_of("[matrix.grid]\ndata = [\"synthetc\"]\n"); });
  EXPECT_NE(text.find("did you mean 'synthetic'?"), std::string::npos) << text;
  EXPECT_EQ(text.find("x.toml:4:9: "), 0U) << text;
  EXPECT_FALSE(fs::exists(runs()));
}

TEST_F(MakeTasks, ExecTakesAnyParameterAndChecksItsPlaceholders) {
  const auto tasks =
      exec_tasks_of("command = [\"x\", \"{lr}\", \"{seed}\", \"{{no}}\"]\n[matrix.grid]\nlr = [1, 2.5]\n");
  EXPECT_EQ(tasks.at(1).parameters.at("lr"), Value(2.5));
  EXPECT_EQ(tasks.at(1).command.at(1), "{lr}");
  EXPECT_EQ(
      message_of(ExitCode::config,
                 [&] { exec_tasks_of("command = [\"x\", \"{lrr}\"]\n[parameters]\nlr = 1\n"); }),
      "x.toml:3:17: the command asks for '{lrr}', but there is no such parameter; did you mean 'lr'? (write "
      "'{{lrr}}' for the braces themselves)");
}

TEST_F(MakeTasks, AnotherCommandIsAnotherTask) {
  const auto id = [this](const std::string& command) {
    return exec_tasks_of("command = " + command).at(0).id;
  };
  EXPECT_NE(id(R"(["a", "b"])"), id(R"(["a b"])"));
  EXPECT_NE(id(R"(["a", "b"])"), id(R"(["a", "b", ""])"));
  EXPECT_EQ(id(R"(["a", "b"])"), id(R"(['a', 'b'])"));
}

}  // namespace
}  // namespace muster
