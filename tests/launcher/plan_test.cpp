#include "launcher/plan.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "tests/support/error_of.hpp"
#include "tests/support/processes.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

using testing::error_of;
using testing::TemporaryFolder;
using testing::text_of;
using testing::write_text;

class PlanTest : public ::testing::Test {
 protected:
  void read(const std::string& text) {
    write_text(folder_ / "x.toml", "name = \"x\"\nworkload = \"exec\"\ncommand = [\"true\"]\n" + text);
    experiment_ = read_experiment(folder_ / "x.toml");
    tasks_ = make_tasks(experiment_, WorkloadSchema{"exec", 1, {}, true}, "", folder_ / "runs");
  }
  Plan plan(Capacity capacity = {8, 0}, const std::vector<NumberedTask>& earlier = {}) const {
    return make_plan(experiment_, tasks_, capacity, earlier);
  }
  /// What a later launcher finds.
  std::vector<NumberedTask> written_and_read(const Plan& made) const {
    write_text(folder_ / "plan.json", plan_to_json(made));
    return read_plan_numbers(folder_ / "plan.json");
  }
  std::string message_of(const Plan& made) const {
    const std::string text = error_of(ExitCode::resources, [&] { require_no_refusal(made); });
    return text.substr(text.find("x.toml"));
  }

  TemporaryFolder folder_;
  Experiment experiment_;
  std::vector<Task> tasks_;
};

TEST_F(PlanTest, NumbersTasksInMatrixOrder) {
  read("[matrix.grid]\nseed = [5, 6, 7]\n");
  const Plan made = plan();
  ASSERT_EQ(made.tasks.size(), 3U);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(made.tasks.at(static_cast<std::size_t>(i)).number, i);
    EXPECT_EQ(made.tasks.at(static_cast<std::size_t>(i)).task.label, "seed" + std::to_string(5 + i));
  }
  EXPECT_TRUE(made.retired.empty());
  EXPECT_NO_THROW(require_no_refusal(made));
}

TEST_F(PlanTest, NumbersStayWhenTheMatrixGrowsAndAreNeverGivenTwice) {
  read("[matrix.grid]\nseed = [5, 6]\n");
  auto earlier = written_and_read(plan());
  read("[matrix.grid]\nseed = [4, 5, 6, 7]\n");
  Plan grown = plan({8, 0}, earlier);
  const auto numbers = [](const Plan& made) {
    std::vector<int> found;
    for (const PlannedTask& planned : made.tasks) found.push_back(planned.number);
    return found;
  };
  EXPECT_EQ(numbers(grown), (std::vector{2, 0, 1, 3}));
  earlier = written_and_read(grown);
  read("[matrix.grid]\nseed = [6]\n");
  Plan shrunk = plan({8, 0}, earlier);
  EXPECT_EQ(numbers(shrunk), (std::vector{1}));
  EXPECT_EQ(shrunk.retired.size(), 3U);
  earlier = written_and_read(shrunk);
  EXPECT_EQ(earlier.size(), 4U);
  read("[matrix.grid]\nseed = [6, 8, 7]\n");
  EXPECT_EQ(numbers(plan({8, 0}, earlier)), (std::vector{1, 4, 3}));
}

TEST_F(PlanTest, MoreRanksThanCoresHaveNoRoom) {
  read("[matrix.grid]\nresources.ranks = [1, 2, 4]\n");
  const Plan made = plan({2, 0});
  EXPECT_FALSE(made.tasks[0].refusal || made.tasks[1].refusal);
  EXPECT_EQ(message_of(made),
            "x.toml:5:11: task-2 (ranks4) has no room: 4 ranks with 1 core each need 4 cores, but there are "
            "2; ask for "
            "less, or set oversubscribe = true under [resources] to share cores");
}

TEST_F(PlanTest, CoresOfAllRanksCount) {
  read("[resources]\nranks = 2\ncpus_per_rank = 3\n");
  EXPECT_EQ(message_of(plan({5, 0})),
            "x.toml:6:1: task-0 (exec) has no room: 2 ranks with 3 cores each need 6 cores, but there are 5; "
            "ask for "
            "less, or set oversubscribe = true under [resources] to share cores");
  EXPECT_NO_THROW(require_no_refusal(plan({6, 0})));
}

TEST_F(PlanTest, OversubscriptionHasRoomOnAnyNumberOfCores) {
  read("[resources]\nranks = 64\noversubscribe = true\n");
  EXPECT_NO_THROW(require_no_refusal(plan({1, 0})));
}

TEST_F(PlanTest, MoreGpusThanThereAreHaveNoRoom) {
  read("[resources]\nranks = 2\ngpus_per_rank = 1\n[matrix.grid]\nseed = [0, 1, 2]\n");
  EXPECT_EQ(message_of(plan({2, 1})),
            "x.toml:6:1: task-0 (seed0) has no room: 2 ranks with 1 GPU each need 2 GPUs, but there is 1 "
            "(and so for 2 "
            "other tasks); ask for fewer GPUs, or say with --gpus how many there are");
  EXPECT_NO_THROW(require_no_refusal(plan({2, 2})));
}

TEST_F(PlanTest, RanksThatShareGpusNeedFewer) {
  read("[resources]\nranks = 5\ngpus_per_rank = 0.5\ngpu_sharing = \"time-slicing\"\n");
  EXPECT_EQ(
      message_of(plan({8, 2})),
      "x.toml:6:1: task-0 (exec) has no room: 5 ranks with 0.5 GPUs each need 3 GPUs, but there are 2; ask "
      "for fewer GPUs, or say with --gpus how many there are");
  EXPECT_NO_THROW(require_no_refusal(plan({8, 3})));
  const auto json = nlohmann::json::parse(plan_to_json(plan({8, 3})));
  EXPECT_EQ(json["tasks"][0]["resources"]["gpus_per_rank"], 0.5);
  EXPECT_EQ(json["tasks"][0]["resources"]["gpu_sharing"], "time-slicing");
}

TEST_F(PlanTest, HugeProductsDoNotOverflow) {
  read("[resources]\nranks = 1000000\ncpus_per_rank = 1000000\ngpus_per_rank = 1000000\n");
  EXPECT_NE(message_of(plan({8, 8})).find("need 1000000000000 cores"), std::string::npos);
}

TEST_F(PlanTest, TheFileTellsAllToAPerson) {
  read("[parameters]\nlr = 0.1\n[matrix.grid]\nclip = [inf, 1.5]\nname = [\"a\"]\n");
  const auto json = nlohmann::json::parse(plan_to_json(plan()));
  EXPECT_EQ(json["experiment"], "x");
  EXPECT_EQ(json["tasks"][0]["cell"]["clip"], "inf");
  EXPECT_EQ(json["tasks"][1]["cell"]["clip"], 1.5);
  EXPECT_EQ(json["tasks"][1]["cell"]["name"], "a");
  EXPECT_EQ(json["tasks"][1]["resources"]["ranks"], 1);
  EXPECT_EQ(json["tasks"][1]["folder"], tasks_[1].folder_name());
  EXPECT_TRUE(json["tasks"][1]["refused"].is_null());
}

TEST_F(PlanTest, ADamagedFileIsNamedWhereverItIsCut) {
  read("[matrix.grid]\nseed = [5, 6]\n");
  EXPECT_TRUE(read_plan_numbers(folder_ / "none.json").empty());
  const std::string whole = plan_to_json(plan());
  for (std::size_t length = 0; length + 2 < whole.size(); length += 5) {
    write_text(folder_ / "plan.json", whole.substr(0, length));
    const std::string text = error_of(ExitCode::storage, [&] { read_plan_numbers(folder_ / "plan.json"); });
    ASSERT_EQ(text.find((folder_ / "plan.json").string()), 0U) << text;
  }
}

}  // namespace
}  // namespace muster
