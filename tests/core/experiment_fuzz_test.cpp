#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "core/experiment.hpp"
#include "core/matrix.hpp"
#include "core/task.hpp"
#include "tests/support/processes.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

using testing::TemporaryFolder;
using testing::write_text;

const std::vector<std::string> kSeeds = {
    R"(name = "quickstart"
workload = "exec"
command = ["python", "train.py", "--lr", "{lr}", "{{x}}"]
[resources]
ranks = 2
oversubscribe = true
[policy]
checkpoint_seconds = 2.5
[parameters]
lr = 0.1
exchange.algorithm = "ring"
list = [1, 2.5, -3e10]
[matrix]
grid = { "resources.ranks" = [1, 2], seed = [0, 1, 2] }
zip = { network = ["a", "b"], width = [1, 2] }
include = [ { seed = 7 } ]
exclude = [ { seed = 2, "resources.ranks" = 1 } ]
)",
    "name = 'x'\nworkload = 'ddp'\n[[matrix.include]]\nseed = 0x1f\n[[matrix.include]]\nseed = "
    "1\n[matrix.grid]\na.b.c = "
    "[true, false]\n",
    R"(name = "study"
[parameters]
epochs = 3
[matrix.grid]
seed = [0, 1]
[stages.split]
workload = "exec"
command = ["split"]
parameters.seed = 7
[stages.train]
workload = "exec"
command = ["train", "{split}"]
parameters.split = { from = "split", file = "a/b", where = { seed = 7 } }
matrix.grid = { model = ["a", "b"] }
[stages.fuse]
workload = "exec"
command = ["fuse", "{models}"]
parameters.models = [{ from = "train", where = { model = ["a", "b"] } }, { from = "split" }]
resources.ranks = 2
)"};

const std::vector<std::string> kPieces = {"[",
                                          "]",
                                          "{",
                                          "}",
                                          "=",
                                          "\"",
                                          "'",
                                          "\"\"\"",
                                          "'''",
                                          ".",
                                          ",",
                                          "\n",
                                          "\r\n",
                                          "#",
                                          "\\u",
                                          "\\U0010ffff",
                                          "\\",
                                          "nan",
                                          "inf",
                                          "-",
                                          "1e999",
                                          "0x",
                                          "1_000",
                                          "true",
                                          "1979-05-27",
                                          "\xff",
                                          "\xc3",
                                          " ",
                                          "seed",
                                          "[[",
                                          "99999999999999999999",
                                          "resources.ranks"};

std::string mutate(std::string text, std::mt19937& random) {
  const unsigned edits = 1 + random() % 6;
  for (unsigned i = 0; i < edits; ++i) {
    const std::size_t at = text.empty() ? 0 : random() % text.size();
    switch (random() % 6) {
      case 0:
        if (!text.empty()) text[at] = static_cast<char>(random());
        break;
      case 1:
        text.erase(at, random() % 20);
        break;
      case 2:
        text.insert(at, kPieces[random() % kPieces.size()]);
        break;
      case 3:
        text.insert(at, text.substr(text.empty() ? 0 : random() % text.size(), random() % 40));
        break;
      case 4:
        text.resize(at);
        break;
      default:
        text.insert(at, kSeeds[random() % kSeeds.size()].substr(random() % 80, random() % 60));
    }
  }
  return text;
}

/// MUSTER_FUZZ_ROUNDS asks for more than the tests' share.
int rounds() {
  const char* given = std::getenv("MUSTER_FUZZ_ROUNDS");
  return given == nullptr ? 1200 : std::atoi(given);
}

TEST(ExperimentFuzz, AnyBytesAreAnExperimentOrAnErrorWithAPlace) {
  const TemporaryFolder folder;
  const auto file = folder / "x.toml";
  std::mt19937 random(2026);
  int accepted = 0;
  int refused = 0;
  for (int round = 0; round < rounds(); ++round) {
    const std::string text = mutate(kSeeds[random() % kSeeds.size()], random);
    write_text(file, text);
    try {
      const Experiment experiment = read_experiment(file);
      const FoundWorkload any{{"exec", 1, {}, true}, ""};
      const std::vector<FoundWorkload> workloads(std::max<std::size_t>(experiment.stages.size(), 1), any);
      const auto tasks = make_tasks(experiment, workloads, folder / "runs");
      ASSERT_FALSE(tasks.empty());
      write_task(tasks.front(), folder / "task.toml");
      ASSERT_EQ(read_task(folder / "task.toml").parameters, tasks.front().parameters) << text;
      ++accepted;
    } catch (const Error& error) {
      ASSERT_EQ(static_cast<int>(error.code()), static_cast<int>(ExitCode::config)) << error.what() << "\n"
                                                                                    << text;
      ASSERT_TRUE(error.place().has_value()) << error.what() << "\n" << text;
      ASSERT_EQ(error.place()->file, file) << error.what() << "\n" << text;
      ASSERT_FALSE(error.problem().empty());
      ++refused;
    }
  }
  // Else the mutations are too tame, or too wild, to say anything.
  EXPECT_GT(accepted, rounds() / 100);
  EXPECT_GT(refused, rounds() / 4);
}

TEST(ExperimentFuzz, RandomBytesAreRefusedWithAPlace) {
  const TemporaryFolder folder;
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::string text(random() % 200, '\0');
    for (char& c : text) c = static_cast<char>(random());
    write_text(folder / "x.toml", text);
    try {
      read_experiment(folder / "x.toml");
      ADD_FAILURE() << "random bytes were taken for an experiment";
    } catch (const Error& error) {
      ASSERT_TRUE(error.place().has_value()) << error.what();
    }
  }
}

TEST(ExperimentFuzz, DeepNestingOfEveryKindIsRefused) {
  const TemporaryFolder folder;
  const int depth = 100'000;
  std::string dotted = "a";
  std::string tables = "x = ";
  for (int i = 0; i < depth; ++i) {
    dotted += ".a";
    tables += "{a=";
  }
  for (const std::string& text : {std::string("x = ") + std::string(depth, '['), dotted + " = 1",
                                  "[" + dotted + "]", tables, "[[" + dotted + "]]"}) {
    write_text(folder / "x.toml", text);
    try {
      read_experiment(folder / "x.toml");
      ADD_FAILURE() << "taken for an experiment: " << text.substr(0, 10);
    } catch (const Error& error) {
      EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(ExitCode::config)) << error.what();
      EXPECT_TRUE(error.place().has_value());
    }
  }
}

}  // namespace
}  // namespace muster
