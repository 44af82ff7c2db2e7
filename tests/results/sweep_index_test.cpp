#include "results/sweep_index.hpp"

#include <gtest/gtest.h>

#include "core/durable_file.hpp"
#include "core/error.hpp"
#include "results/sweep_table.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

using testing::TemporaryFolder;

SweepEntry entry(int number, const std::string& label, Parameters parameters) {
  SweepEntry made;
  made.number = number;
  made.task.label = label;
  made.task.id = "0000000" + std::to_string(number);
  made.task.parameters = std::move(parameters);
  made.state = "done";
  made.attempts = 1;
  made.seconds = 12.5;
  made.task_folder = "/runs/study/tasks/" + label;
  return made;
}

const SweepColumn& column(const std::vector<SweepColumn>& columns, const std::string& name) {
  for (const SweepColumn& candidate : columns)
    if (candidate.name == name) return candidate;
  throw std::runtime_error("no column " + name);
}

TEST(SweepTable, FindsEachColumnsKind) {
  const auto columns =
      sweep_columns({entry(0, "a", {{"lr", 1}, {"nesterov", true}, {"seed", 0}, {"net", "x"}}),
                     entry(1, "b", {{"lr", 0.5}, {"nesterov", false}, {"seed", 1}})},
                    "/runs/study/now");
  EXPECT_EQ(column(columns, "lr").kind, SweepKind::floating);
  EXPECT_EQ(column(columns, "nesterov").kind, SweepKind::boolean);
  EXPECT_EQ(column(columns, "seed").kind, SweepKind::integer);
  EXPECT_EQ(column(columns, "net").kind, SweepKind::text);
  EXPECT_EQ(column(columns, "folder").values[0]->as_string(), "../tasks/a");
}

TEST(SweepTable, TellsOfSharedGpusWhereThereAreAny) {
  SweepEntry shared = entry(1, "b", {});
  shared.task.resources.gpus_per_rank = 1;
  shared.task.resources.ranks_per_gpu = 2;
  shared.task.resources.gpu_sharing = GpuSharing::mps;
  const auto columns = sweep_columns({entry(0, "a", {}), shared}, "/runs/study/now");
  EXPECT_EQ(column(columns, "resources.gpus_per_rank").values[1]->as_float(), 0.5);
  EXPECT_EQ(column(columns, "resources.gpu_sharing").values[0]->as_string(), "none");
  EXPECT_EQ(column(columns, "resources.gpu_sharing").values[1]->as_string(), "mps");
}

TEST(SweepTable, RenamesAParameterThatIsCalledLikeAnEarlierColumn) {
  const auto columns = sweep_columns({entry(0, "a", {{"state", "open"}})}, "/runs/study/now");
  EXPECT_EQ(column(columns, "state").values[0]->as_string(), "done");
  EXPECT_EQ(column(columns, "parameters.state").values[0]->as_string(), "open");
}

TEST(SweepIndex, WritesTheSummaryThatPandasReads) {
  const TemporaryFolder folder;
  SweepEntry first = entry(0, "a", {{"lr", 0.1}, {"widths", Value::List{1, 2}}});
  first.task_folder = folder / "tasks" / "a";
  first.final_metrics = {{"accuracy", 0.75}, {"epoch", std::int64_t{3}}};
  SweepEntry second = entry(3, "b", {{"lr", 2}, {"widths", Value::List{}}});
  second.task_folder = folder / "tasks" / "b";
  make_folders(folder / "run");
  const auto csv = folder / "run" / "summary.csv";
  write_sweep_index(folder / "run" / "sweep.h5", csv, {first, second});
  EXPECT_EQ(read_text(csv),
            "task,label,id,state,attempts,seconds,folder,lr,widths,resources.ranks,resources.cpus_per_rank,"
            "resources.gpus_per_rank,final_accuracy,final_epoch\n"
            "0,a,00000000,done,1,12.5,../tasks/a,0.1,\"[1, 2]\",1,1,0,0.75,3.0\n"
            "3,b,00000003,done,1,12.5,../tasks/b,2.0,[],1,1,0,nan,nan\n");
}

TEST(SweepIndex, IsWholeForARunWithoutTasks) {
  const TemporaryFolder folder;
  write_sweep_index(folder / "sweep.h5", folder / "summary.csv", {});
  EXPECT_TRUE(std::filesystem::exists(folder / "sweep.h5"));
}

TEST(SweepIndex, NamesTheFolderThatCannotBeWritten) {
  EXPECT_THROW(write_sweep_index("/nonexistent/sweep.h5", "/nonexistent/summary.csv", {}), Error);
}

}  // namespace
}  // namespace muster
