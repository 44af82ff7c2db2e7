#include "launcher/bundle.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "launcher/gang_programs.hpp"
#include "launcher/workload_catalog.hpp"
#include "tests/support/error_of.hpp"
#include "tests/support/processes.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using ::testing::Pair;
using testing::TemporaryFolder;
using testing::write_text;

TEST(Bundle, IsWhatHasABundleJsonAboveItsPrograms) {
  const TemporaryFolder folder;
  EXPECT_FALSE(find_bundle(folder / "bin"));
  write_text(folder / "bundle.json",
             R"({"mpi": "Open MPI 4.1.4", "mpirun": "lib/bin/mpirun", "torch": "2.11.0",
                 "mpi_environment": {"OPAL_PREFIX": "lib"}, "unheard": "of"})");
  const auto bundle = find_bundle(folder / "bin");
  ASSERT_TRUE(bundle);
  EXPECT_EQ(bundle->mpirun, folder / "lib/bin/mpirun");
  EXPECT_EQ(bundle->torch, "2.11.0");
  EXPECT_THAT(bundle->mpi_environment, ElementsAre(Pair("OPAL_PREFIX", (folder / "lib").string())));
}

TEST(Bundle, DamagedIsOneError) {
  const TemporaryFolder folder;
  write_text(folder / "bundle.json", R"({"mpi": "Open MPI 4.1.4")");
  EXPECT_THAT(error_of(ExitCode::config, [&] { find_bundle(folder / "bin"); }),
              AllOf(HasSubstr("bundle.json"), HasSubstr("unpack the bundle again")));
}

class BundlesTorch : public ::testing::Test {
 protected:
  BundlesTorch() {
    const char* path = std::getenv("PATH");
    path_ = path == nullptr ? "" : path;
    unsetenv("MUSTER_TORCH_ROOT");
  }
  ~BundlesTorch() override {
    setenv("PATH", path_.c_str(), 1);
    unsetenv("MUSTER_TORCH_ROOT");
  }

  fs::path make_torch(const std::string& version) const {
    write_text(folder_ / "torch/version.py", "import x\n__version__ = '" + version + "'\ncuda = '13.0'\n");
    write_text(folder_ / "torch/lib/libtorch_cpu.so", "");
    return folder_ / "torch";
  }
  /// The PATH's python3 prints this, whatever it is asked.
  void let_python_print(const std::string& line) const {
    write_text(folder_ / "python3", "#!/bin/sh\necho '" + line + "'\n");
    fs::permissions(folder_ / "python3", fs::perms::owner_all);
    setenv("PATH", (folder_.path().string() + ":" + path_).c_str(), 1);
  }

  TemporaryFolder folder_;
  std::string path_;
};

TEST_F(BundlesTorch, IsThatOfThePathsPython) {
  const fs::path torch = make_torch("2.11.0+cu130");
  let_python_print(torch.string());
  EXPECT_EQ(find_torch("2.11.0"), torch);
}

TEST_F(BundlesTorch, IsFoundByARealPythonWithoutBeingImported) {
  if (std::system("python3 -c ''") != 0) GTEST_SKIP() << "no python3 on the PATH";
  const fs::path torch = make_torch("2.11.0");
  write_text(torch / "__init__.py", "raise SystemExit('imported')\n");
  setenv("PYTHONPATH", folder_.path().c_str(), 1);
  EXPECT_EQ(find_torch("2.11.0"), torch);
  unsetenv("PYTHONPATH");
}

TEST_F(BundlesTorch, IsTheOneThatTheUserNames) {
  let_python_print("/nowhere");
  const fs::path torch = make_torch("2.11.0+cpu");
  setenv("MUSTER_TORCH_ROOT", torch.c_str(), 1);
  EXPECT_EQ(find_torch("2.11.0"), torch);
}

TEST_F(BundlesTorch, MayBeAnArchiveWithoutPython) {
  const fs::path torch = make_torch("nothing");
  fs::remove(torch / "version.py");
  write_text(torch / "build-version", "2.11.0+cpu\n");
  setenv("MUSTER_TORCH_ROOT", torch.c_str(), 1);
  EXPECT_EQ(find_torch("2.11.0"), torch);
}

TEST_F(BundlesTorch, OfAnotherVersionIsOneErrorThatNamesBoth) {
  let_python_print(make_torch("2.11.1+cu130").string());
  EXPECT_THAT(error_of(ExitCode::workload, [] { find_torch("2.11.0"); }),
              AllOf(HasSubstr("need PyTorch 2.11.0"), HasSubstr("is 2.11.1+cu130"),
                    HasSubstr("pip install torch==2.11.0")));
}

TEST_F(BundlesTorch, MissingIsOneErrorWithTheWayOut) {
  let_python_print("");
  EXPECT_THAT(error_of(ExitCode::workload, [] { find_torch("2.11.0"); }),
              AllOf(HasSubstr("no package torch"), HasSubstr("MUSTER_TORCH_ROOT")));
  setenv("MUSTER_TORCH_ROOT", "/nowhere", 1);
  EXPECT_THAT(error_of(ExitCode::workload, [] { find_torch("2.11.0"); }), HasSubstr("'/nowhere'"));
}

TEST_F(BundlesTorch, IsInFrontOfWhatRanksLoadOtherwise) {
  const char* const bundle =
      R"({"mpi": "M 1", "mpirun": "m/mpirun", "torch": "2.11.0", "mpi_environment": {"OPAL_PREFIX": "m"}})";
  write_text(folder_ / "bundle/bundle.json", bundle);
  setenv("MUSTER_TORCH_ROOT", make_torch("2.11.0").c_str(), 1);
  write_text(folder_ / "nvidia/cu13/lib/libcudart.so.13", "");
  setenv("LD_LIBRARY_PATH", "/modules/lib", 1);
  const GangPrograms programs = find_gang_programs(folder_ / "bundle/bin");
  unsetenv("LD_LIBRARY_PATH");
  EXPECT_EQ(programs.library_path, (folder_ / "torch/lib").string() + ":" +
                                       (folder_ / "nvidia/cu13/lib").string() + ":/modules/lib");
  EXPECT_EQ(programs.mpirun, folder_ / "bundle/m/mpirun");
  EXPECT_FALSE(programs.no_torch);
}

TEST_F(BundlesTorch, IsMissedByItsOwnWorkloadsAlone) {
  write_text(folder_ / "bundle/bundle.json",
             R"({"mpi": "M 1", "mpirun": "m/mpirun", "torch": "2.11.0", "mpi_environment": {}})");
  setenv("MUSTER_TORCH_ROOT", "/nowhere", 1);
  const GangPrograms programs = find_gang_programs(folder_ / "bundle/bin");
  Task task;
  require_torch(task, programs);
  task.plugin = folder_ / "mine.so";
  require_torch(task, programs);
  task.plugin = built_in_workloads_folder() / "ddp.so";
  EXPECT_THAT(error_of(ExitCode::workload, [&] { require_torch(task, programs); }), HasSubstr("'/nowhere'"));
  require_torch(task, find_gang_programs(folder_ / "bin"));
}

}  // namespace
}  // namespace muster
