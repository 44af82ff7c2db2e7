/// Stages of an experiment: their order, what is common to them, and what tasks take from each other.

#include "core/stages.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "core/checksum.hpp"
#include "core/run_paths.hpp"
#include "core/task.hpp"
#include "tests/support/error_of.hpp"
#include "tests/support/processes.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::TemporaryFolder;
using testing::write_text;

ParameterSpec spec(const std::string& name, ParameterType type, Value value, bool is_data_path = false) {
  ParameterSpec spec;
  spec.name = name;
  spec.type = type;
  spec.default_value = std::move(value);
  spec.is_data_path = is_data_path;
  return spec;
}

/// Workloads as a study of fused experts has them.
WorkloadSchema schema_of(const std::string& workload) {
  const auto text = [](const std::string& name) { return spec(name, ParameterType::string, ""); };
  WorkloadSchema schema{workload, 1, {}, workload == "exec"};
  ParameterSpec model = text("model");
  model.choices = {"a", "b"};
  model.default_value = "a";
  if (workload == "split") schema.parameters = {spec("parts", ParameterType::integer, 4)};
  if (workload == "experts")
    schema.parameters = {model, spec("expert", ParameterType::integer, 0),
                         spec("split", ParameterType::string, "", true),
                         spec("lr", ParameterType::floating, 0.1)};
  if (workload == "fusion")
    schema.parameters = {text("fusion"), spec("split", ParameterType::string, "", true),
                         spec("experts", ParameterType::list, Value::List{}, true),
                         spec("epochs", ParameterType::integer, 3)};
  if (workload == "evaluation") schema.parameters = {text("fused")};
  return schema;
}

constexpr const char* kStudy = R"(name = "study"
[matrix.grid]
seed = [0, 1]
[stages.split]
workload = "split"
parameters.seed = 7
[stages.experts]
workload = "experts"
parameters.split = { from = "split" }
matrix.grid = { model = ["a", "b"], expert = [0, 1] }
[stages.fusion]
workload = "fusion"
parameters.split = { from = "split" }
parameters.experts = { from = "experts", file = "best.safetensors" }
matrix.zip = { model = ["b", "a"], fusion = ["sum", "product"] }
[stages.evaluation]
workload = "evaluation"
parameters.fused = { from = "fusion", file = "fused/all.safetensors" }
matrix.grid.model = ["a"]
)";

class Stages : public ::testing::Test {
 protected:
  std::vector<Task> tasks_of(const std::string& text, const std::string& runs = "runs") {
    write_text(folder_ / "x.toml", text);
    const Experiment experiment = read_experiment(folder_ / "x.toml");
    std::vector<FoundWorkload> workloads;
    for (const Experiment& stage : experiment.stages)
      workloads.push_back({schema_of(stage.workload), "/p/" + stage.workload + ".so"});
    return make_tasks(experiment, workloads, folder_ / runs);
  }
  static const Task& named(const std::vector<Task>& tasks, const std::string& label) {
    for (const Task& task : tasks) {
      if (task.label == label) return task;
    }
    ADD_FAILURE() << "there is no task '" << label << "'";
    return tasks.front();
  }
  std::string artifacts(const Task& task) const {
    return ExperimentPaths(folder_ / "runs", "study").task(task.folder_name()).artifacts().string();
  }
  std::string mistake(const std::string& text) {
    std::string message = error_of(ExitCode::config, [&] { tasks_of(text); });
    const std::string prefix = folder_.path().string() + "/";
    EXPECT_EQ(message.find(prefix), 0U) << message;
    return message.substr(prefix.size());
  }
  /// kStudy with one thing said otherwise.
  static std::string study_but(const std::string& part, const std::string& instead) {
    std::string text = kStudy;
    const std::size_t at = text.find(part);
    EXPECT_NE(at, std::string::npos) << part;
    return text.replace(at, part.size(), instead);
  }

  TemporaryFolder folder_;
};

std::vector<std::string> labels_of(const std::vector<Task>& tasks) {
  std::vector<std::string> labels;
  for (const Task& task : tasks) labels.push_back(task.label);
  return labels;
}

TEST_F(Stages, TasksFollowEachOtherStageByStageUnderTheirStagesName) {
  EXPECT_THAT(labels_of(tasks_of(kStudy)),
              ElementsAre("split", "experts-seed0-a-expert0", "experts-seed0-a-expert1",
                          "experts-seed0-b-expert0", "experts-seed0-b-expert1", "experts-seed1-a-expert0",
                          "experts-seed1-a-expert1", "experts-seed1-b-expert0", "experts-seed1-b-expert1",
                          "fusion-seed0-b-sum", "fusion-seed0-a-product", "fusion-seed1-b-sum",
                          "fusion-seed1-a-product", "evaluation-seed0-a", "evaluation-seed1-a"));
}

TEST_F(Stages, AListTakesAllTasksThatAgreeOnCommonAxesInMatrixOrder) {
  const auto tasks = tasks_of(kStudy);
  const Task& fusion = named(tasks, "fusion-seed1-b-sum");
  const Task& first = named(tasks, "experts-seed1-b-expert0");
  const Task& second = named(tasks, "experts-seed1-b-expert1");
  EXPECT_EQ(fusion.parameters.at("experts"), Value(Value::List{artifacts(first) + "/best.safetensors",
                                                               artifacts(second) + "/best.safetensors"}));
  EXPECT_THAT(fusion.needs, ElementsAre(tasks[0].folder_name(), first.folder_name(), second.folder_name()));
  EXPECT_EQ(fusion.stage, "fusion");
  EXPECT_EQ(fusion.plugin, "/p/fusion.so");
}

TEST_F(Stages, ATextTakesOneTasksFileOrItsFolder) {
  const auto tasks = tasks_of(kStudy);
  EXPECT_EQ(tasks[1].parameters.at("split"), Value(artifacts(tasks[0])));
  EXPECT_EQ(named(tasks, "evaluation-seed0-a").parameters.at("fused"),
            Value(artifacts(named(tasks, "fusion-seed0-a-product")) + "/fused/all.safetensors"));
  EXPECT_THAT(tasks[0].needs, IsEmpty());
}

TEST_F(Stages, AnAxisThatTheWorkloadLacksOnlyChooses) {
  const auto tasks = tasks_of(kStudy);
  const Task& fusion = named(tasks, "fusion-seed0-a-product");
  EXPECT_FALSE(fusion.parameters.contains("model"));
  EXPECT_EQ(fusion.cell.at("model"), Value("a"));
  EXPECT_THAT(mistake(study_but("model = [\"b\", \"a\"]", "modle = [\"b\", \"a\"]")),
              HasSubstr("x.toml:15:25: workload 'fusion' has no parameter 'modle'"));
}

TEST_F(Stages, ACellWithoutSuchAnAxisTakesTheTasksOfAllItsValues) {
  const std::string study =
      study_but("matrix.zip = { model = [\"b\", \"a\"], fusion = [\"sum\", \"product\"] }",
                "matrix.include = [{ fusion = \"sum\" }, { fusion = \"sum\", model = \"b\" }]");
  const auto tasks = tasks_of(study.substr(0, study.find("[stages.evaluation]")));
  EXPECT_EQ(named(tasks, "fusion-seed0-sum").needs.size(), 1U + 4U);
  EXPECT_EQ(named(tasks, "fusion-seed1-sum-b").needs.size(), 1U + 2U);
  EXPECT_EQ(tasks.size(), 1U + 8U + 4U);
}

TEST_F(Stages, WhereSaysWhichValuesOfAnAxisAreMeant) {
  const auto all =
      tasks_of(study_but("file = \"best.safetensors\" }",
                         "file = \"best.safetensors\", where = { model = [\"a\", \"b\"], expert = 1 } }"));
  const Task& fusion = named(all, "fusion-seed1-b-sum");
  EXPECT_THAT(fusion.needs,
              ElementsAre(all[0].folder_name(), named(all, "experts-seed1-a-expert1").folder_name(),
                          named(all, "experts-seed1-b-expert1").folder_name()));
  const auto seeds = tasks_of(study_but("file = \"best.safetensors\" }", "where = { seed = 0.0 } }"));
  EXPECT_EQ(named(seeds, "fusion-seed1-b-sum").needs.at(1),
            named(seeds, "experts-seed0-b-expert0").folder_name());
}

TEST_F(Stages, SeveralReferencesAreOneListInTheirOrder) {
  const auto tasks =
      tasks_of(study_but("parameters.experts = { from = \"experts\", file = \"best.safetensors\" }",
                         "parameters.experts = [{ from = \"experts\", where = { model = \"b\" } }, "
                         "{ from = \"split\", file = \"x\" }]"));
  const Value::List& list = named(tasks, "fusion-seed0-a-product").parameters.at("experts").as_list();
  ASSERT_EQ(list.size(), 3U);
  EXPECT_EQ(list[0], Value(artifacts(named(tasks, "experts-seed0-b-expert0"))));
  EXPECT_EQ(list[2], Value(artifacts(tasks[0]) + "/x"));
}

TEST_F(Stages, OfACommandTheBracketsMakeTheDifferenceBetweenATextAndAList) {
  const std::string text =
      "name = \"study\"\n[stages.make]\nworkload = \"exec\"\ncommand = [\"make\", \"{n}\"]\nmatrix.grid.n = "
      "[1]\n"
      "[stages.use]\nworkload = \"exec\"\ncommand = [\"use\", \"{one}\", \"{all}\"]\n"
      "parameters.one = { from = \"make\" }\nparameters.all = [{ from = \"make\", file = \"f\" }]\n";
  const auto tasks = tasks_of(text);
  EXPECT_EQ(tasks[1].parameters.at("one"), Value(artifacts(tasks[0])));
  EXPECT_EQ(tasks[1].parameters.at("all"), Value(Value::List{artifacts(tasks[0]) + "/f"}));
}

TEST_F(Stages, AnIdHashesIdsAndFileNamesInPlaceOfPaths) {
  const auto tasks = tasks_of(kStudy);
  const Task& fusion = named(tasks, "fusion-seed1-b-sum");
  // docs/identity.md has this text.
  const std::string text =
      "muster-task 1\nworkload \"fusion\"\nresult_version 1\nranks 1\ncpus_per_rank 1\ngpus_per_rank 0\n"
      "needs experts [\"" +
      named(tasks, "experts-seed1-b-expert0").id + "/best.safetensors\", \"" +
      named(tasks, "experts-seed1-b-expert1").id +
      "/best.safetensors\"]\nparameter fusion \"sum\"\nparameter seed 1\nneeds split \"" + tasks[0].id +
      "\"\n";
  EXPECT_EQ(fusion.id, checksum128(text).substr(0, 12));
}

TEST_F(Stages, AStudyInAnotherFolderOrUnderOtherNamesHasTheSameIds) {
  const auto tasks = tasks_of(kStudy);
  const auto moved = tasks_of(kStudy, "elsewhere/runs");
  std::string renamed = kStudy;
  for (const auto& [from, to] :
       {std::pair("[stages.split]", "[stages.cut]"), std::pair("from = \"split\"", "from = \"cut\""),
        std::pair("from = \"split\"", "from = \"cut\"")})
    renamed.replace(renamed.find(from), std::string(from).size(), to);
  const auto other = tasks_of(renamed);
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    EXPECT_EQ(moved[i].id, tasks[i].id);
    EXPECT_EQ(other[i].id, tasks[i].id);
  }
  EXPECT_NE(moved[1].parameters.at("split"), tasks[1].parameters.at("split"));
}

TEST_F(Stages, AChangedParameterChangesAllThatIsMadeOfIt) {
  const auto tasks = tasks_of(kStudy);
  const auto changed = [&](const std::string& part, const std::string& instead) {
    std::set<std::string> labels;
    const auto now = tasks_of(study_but(part, instead));
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      if (now[i].id != tasks[i].id) labels.insert(now[i].stage);
    }
    return labels;
  };
  EXPECT_THAT(changed("parameters.split = { from = \"split\" }",
                      "parameters = { split = { from = \"split\" }, lr = 0.5 }"),
              ElementsAre("evaluation", "experts", "fusion"));
  EXPECT_THAT(changed("best.safetensors", "last.safetensors"), ElementsAre("evaluation", "fusion"));
  EXPECT_THAT(changed("fused/all.safetensors", "fused/some.safetensors"), ElementsAre("evaluation"));
  EXPECT_THAT(changed("parameters.seed = 7", "parameters = { seed = 7, parts = 5 }"),
              ElementsAre("evaluation", "experts", "fusion", "split"));
}

TEST_F(Stages, AFolderThatIsThereGivesItsNameToThePaths) {
  const auto before = tasks_of(kStudy);
  fs::create_directories(
      ExperimentPaths(folder_ / "runs", "study").task("older-name-" + before[0].id).folder());
  const auto after = tasks_of(kStudy);
  EXPECT_EQ(after[0].label, "older-name");
  EXPECT_EQ(after[1].parameters.at("split"), Value(artifacts(after[0])));
  EXPECT_EQ(after[1].id, before[1].id);
}

TEST_F(Stages, PathsGivenByHandCountByTheirContent) {
  write_text(folder_ / "one/a.bin", "1");
  write_text(folder_ / "two/b.bin", "2");
  write_text(folder_ / "three/a.bin", "1");
  const auto id = [&](const std::string& first, const std::string& second) {
    return tasks_of("name = \"study\"\n[stages.fusion]\nworkload = \"fusion\"\nparameters.experts = [\"" +
                    (folder_ / first).string() + "\", \"" + (folder_ / second).string() + "\"]\n")
        .at(0)
        .id;
  };
  EXPECT_EQ(id("one/a.bin", "two/b.bin"), id("three/a.bin", "two/b.bin"));
  EXPECT_NE(id("one/a.bin", "two/b.bin"), id("two/b.bin", "one/a.bin"));
  const std::string text = error_of(ExitCode::data, [&] { id("one/a.bin", "four/c.bin"); });
  EXPECT_THAT(text, HasSubstr("four/c.bin' (parameter 'experts')"));
}

TEST_F(Stages, WhatIsCommonGoesToThoseWhoseWorkloadHasIt) {
  const auto tasks = tasks_of(
      "name = \"study\"\nparameters = { lr = 0.5, expert = 3, epochs = 9 }\nresources = { ranks = 2, "
      "cpus_per_rank = 2 }\n"
      "[policy]\nmax_attempts = 1\n[matrix.grid]\nseed = [4]\nmodel = [\"b\"]\n"
      "[stages.split]\nworkload = \"split\"\nresources.ranks = 1\n"
      "[stages.experts]\nworkload = \"experts\"\nparameters.lr = 0.25\nmatrix.grid.expert = [1]\n"
      "[stages.fusion]\nworkload = \"fusion\"\nparameters.seed = 5\n");
  EXPECT_THAT(labels_of(tasks), ElementsAre("split-seed4", "experts-seed4-b-expert1", "fusion"));
  EXPECT_EQ(tasks[1].parameters.at("lr"), Value(0.25));
  EXPECT_EQ(tasks[1].parameters.at("expert"), Value(1));
  EXPECT_EQ(tasks[1].parameters.at("model"), Value("b"));
  EXPECT_EQ(tasks[2].parameters.at("epochs"), Value(9));
  EXPECT_EQ(tasks[2].parameters.at("seed"), Value(5));
  EXPECT_EQ(tasks[0].resources.ranks, 1);
  EXPECT_EQ(tasks[0].resources.cpus_per_rank, 2);
  EXPECT_EQ(tasks[1].resources.ranks, 2);
  EXPECT_EQ(tasks[2].policy.max_attempts, 1);
}

TEST_F(Stages, ACommonAxisChoosesForThoseThatTakeFromAStageWithIt) {
  const std::string text =
      "name = \"study\"\n[matrix.grid]\nmodel = [\"a\", \"b\"]\n[stages.split]\nworkload = \"split\"\n"
      "[stages.experts]\nworkload = \"experts\"\nmatrix.grid.expert = [0, 1]\n"
      "[stages.fusion]\nworkload = \"fusion\"\nparameters.experts = { from = \"experts\" }\n"
      "[stages.evaluation]\nworkload = \"evaluation\"\nparameters.fused = { from = \"fusion\" }\n";
  const auto tasks = tasks_of(text);
  EXPECT_THAT(labels_of(tasks),
              ElementsAre("split", "experts-a-expert0", "experts-a-expert1", "experts-b-expert0",
                          "experts-b-expert1", "fusion-a", "fusion-b", "evaluation-a", "evaluation-b"));
  EXPECT_THAT(named(tasks, "fusion-b").needs, ElementsAre(tasks[3].folder_name(), tasks[4].folder_name()));
  EXPECT_THAT(named(tasks, "evaluation-b").needs, ElementsAre(tasks[6].folder_name()));
  const auto all =
      tasks_of(text +
               "[stages.mixed]\nworkload = \"fusion\"\nparameters.experts = { from = \"experts\", "
               "where = { model = [\"a\", \"b\"] } }\n");
  EXPECT_EQ(named(all, "mixed").needs.size(), 4U) << "where says which are meant, so there is one for all";
}

TEST_F(Stages, TheOrderInTheFileIsFree) {
  const auto tasks = tasks_of(
      "name = \"study\"\n[stages.z]\nworkload = \"evaluation\"\nparameters.fused = { from = \"y\" }\n"
      "[stages.y]\nworkload = \"evaluation\"\nparameters.fused = { from = \"x\" }\n[stages.x]\nworkload = "
      "\"split\"\n"
      "[stages.a]\nworkload = \"split\"\nparameters.parts = 1\n");
  EXPECT_THAT(labels_of(tasks), ElementsAre("x", "y", "z", "a"));
}

TEST_F(Stages, LargeMatricesTakeNoLong) {
  std::string seeds;
  for (int seed = 0; seed < 3000; ++seed) seeds += std::to_string(seed) + ", ";
  const auto tasks =
      tasks_of("name = \"study\"\n[matrix.grid]\nseed = [" + seeds +
               "]\n[stages.split]\nworkload = \"split\"\n[stages.experts]\nworkload = \"experts\"\n"
               "parameters.split = { from = \"split\" }\nmatrix.grid.expert = [0, 1]\n");
  ASSERT_EQ(tasks.size(), 9000U);
  EXPECT_THAT(tasks[8999].needs, ElementsAre(tasks[2999].folder_name()));
}

TEST_F(Stages, EveryMistakeHasItsPlaceAndItsCure) {
  const std::pair<std::string, std::string> cases[] = {
      {study_but("from = \"experts\"", "from = \"expert\""),
       "x.toml:14:31: there is no stage 'expert'; did you mean 'experts'?"},
      {study_but("workload = \"split\"\nparameters.seed = 7",
                 "workload = \"evaluation\"\nparameters.fused = { from = \"fusion\" }"),
       "x.toml:14:31: stages need each other in a circle: 'fusion' needs 'experts' needs 'split' needs "
       "'fusion'; no "
       "stage can take from one that waits for it"},
      {study_but("from = \"fusion\"", "from = \"evaluation\""),
       "x.toml:18:29: stages need each other in a circle: 'evaluation' needs 'evaluation'; no stage can take "
       "from "
       "one that waits for it"},
      {study_but("matrix.grid.model = [\"a\"]", "matrix.grid.model = [\"a\", \"c\"]"),
       "x.toml:18:29: 'evaluation-seed0-c' needs a task of stage 'fusion' with model = \"c\", seed = 0, but "
       "there is "
       "none; give both stages the same values on these axes, or say with 'where' which are meant"},
      {study_but("expert = [0, 1] }", "expert = [0, 1] }\nmatrix.exclude = [{ model = \"b\" }]"),
       "x.toml:15:31: 'fusion-seed0-b-sum' needs a task of stage 'experts' with model = \"b\", seed = 0, but "
       "there is "
       "none: its matrix excludes it; exclude it here too, or keep it there"},
      {study_but("[stages.evaluation]", "[stages.evaluation]\nparameters.seed = 0"),
       "x.toml:19:29: parameter 'fused' of 'evaluation-a' takes one path, but 2 tasks of stage 'fusion' are "
       "meant: "
       "fusion-seed0-a-product, fusion-seed1-a-product; choose one with where = { AXIS = VALUE }, or give "
       "this stage "
       "their axis"},
      {study_but("file = \"best.safetensors\"", "where = { modle = \"a\" }"),
       "x.toml:14:52: stage 'experts' has no axis 'modle'; did you mean 'model'?"},
      {study_but("file = \"best.safetensors\"", "where = { model = [] }"),
       "x.toml:14:60: 'parameters.experts.where.model' has no values, so no task is meant; give it values, "
       "or remove it"},
      {study_but("file = \"best", "fiel = \"best"),
       "x.toml:14:42: unknown key 'fiel' in 'parameters.experts'; did you mean 'file'?"},
      {study_but("best.safetensors", "../best.safetensors"),
       "x.toml:14:49: 'parameters.experts.file' cannot be \"../best.safetensors\"; give a file's path from "
       "the needed "
       "task's artifacts folder; without it the folder is meant"},
      {study_but("from = \"experts\"", "from = 3"),
       "x.toml:14:31: 'parameters.experts.from' must be a string, not the integer 3"},
      {study_but("parameters.split = { from = \"split\" }", "parameters.split = [{ from = \"split\" }]"),
       "x.toml:9:30: parameter 'split' takes one path, not a list of them; take the brackets away"},
      {study_but("parameters.split = { from = \"split\" }", "parameters.lr = { from = \"split\" }"),
       "x.toml:9:26: parameter 'lr' takes no path, so nothing of another stage; give it a value"},
      {study_but("parameters.split = { from = \"split\" }", "parameters.model = { from = \"split\" }"),
       "x.toml:9:29: parameter 'model' takes no path, so nothing of another stage; give it a value"},
      {study_but("parameters.split = { from = \"split\" }", "parameters.spilt = { from = \"split\" }"),
       "x.toml:9:12: workload 'experts' has no parameter 'spilt'; did you mean 'split'?"},
      {study_but("[matrix.grid]", "workload = \"ddp\"\n[matrix.grid]"),
       "x.toml:2:1: the experiment has stages, but 'workload' of its own; each stage has its own"},
      {study_but("[matrix.grid]\nseed = [0, 1]", "[matrix]\nzip.seed = [0, 1]"),
       "x.toml:3:1: 'matrix.zip' cannot be common to stages; only grid can; give it in the stages that it is "
       "for"},
      {study_but("[matrix.grid]", "parameters.split = { from = \"split\" }\n[matrix.grid]"),
       "x.toml:2:12: 'split' takes from a stage, but stands among what is common; give it in each stage that "
       "needs it"},
      {study_but("[matrix.grid]", "parameters.epoch = 3\n[matrix.grid]"),
       "x.toml:2:12: no stage's workload has a parameter 'epoch'; did you mean 'epochs'?"},
      {study_but("[matrix.grid]", "[matrix.grid]\nlrr = [3]"),
       "x.toml:3:1: no stage's workload has a parameter 'lrr'; did you mean 'lr'?"},
      {study_but("workload = \"split\"\n", ""),
       "x.toml:4:9: stage 'split' has no 'workload'; name a built-in one (\"ddp\"), your own (\"./mine.so\") "
       "or "
       "\"exec\""},
      {study_but("parameters.seed = 7", "parameters.seed = 7\npolicy.max_attempts = 1"),
       "x.toml:7:1: unknown key 'policy' in stage 'split'; known are: workload, command, parameters, matrix, "
       "resources"},
      {study_but("[stages.split]", "[stages.\"a b\"]"),
       "x.toml:4:9: the stage's name \"a b\" cannot be in a label; use letters, digits, '_' and '-', at most "
       "100, "
       "and begin with a letter, digit or '_'"},
      {"name = \"study\"\n[stages]\n",
       "x.toml:2:2: there are no stages under 'stages'; give one, as [stages.train] with a workload"},
      {"name = \"study\"\n[stages.a]\nworkload = \"split\"\n[stages.b]\nworkload = \"split\"\n",
       "x.toml:4:9: two cells are one and the same task: 'a' and 'b'; what they differ in changes no result; "
       "remove one "
       "of them"},
  };
  for (const auto& [text, message] : cases) EXPECT_EQ(mistake(text), message) << text;
}

}  // namespace
}  // namespace muster
