#include "launcher/workload_catalog.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>

#include "tests/support/error_of.hpp"
#include "tests/support/processes.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using testing::TemporaryFolder;
using testing::write_text;

class WorkloadCatalog : public ::testing::Test {
 protected:
  FoundWorkload find(const std::string& workload) const {
    write_text(folder_ / "studies/x.toml", "name = \"x\"\nworkload = \"" + workload + "\"\n" +
                                               (workload == "exec" ? "command = [\"true\"]\n" : ""));
    return find_workload(read_experiment(folder_ / "studies/x.toml"), folder_ / "built_in");
  }
  void add(const std::string& path, const std::string& name) const {
    write_text(folder_ / (path + ".so"), "no real plugin: nobody loads it here");
    write_text(folder_ / (path + ".json"), schema_to_json({name, 2, {}, false}));
  }
  std::string at(const std::string& name) const { return (folder_ / name).string(); }

  TemporaryFolder folder_;
};

TEST_F(WorkloadCatalog, FindsABuiltInByItsName) {
  add("built_in/ddp", "ddp");
  const FoundWorkload found = find("ddp");
  EXPECT_EQ(found.schema.name, "ddp");
  EXPECT_EQ(found.plugin, folder_ / "built_in/ddp.so");
}

TEST_F(WorkloadCatalog, ExecNeedsNoPluginAndTakesAnyParameter) {
  const FoundWorkload found = find("exec");
  EXPECT_TRUE(found.schema.open);
  EXPECT_TRUE(found.plugin.empty());
}

TEST_F(WorkloadCatalog, FindsAnOwnPluginFromTheExperimentsFolder) {
  add("studies/mine", "mine");
  EXPECT_EQ(find("./mine.so").plugin, folder_ / "studies/mine.so");
  EXPECT_EQ(find("mine.so").plugin, folder_ / "studies/mine.so");
  EXPECT_EQ(find("../studies/mine.so").plugin, folder_ / "studies/mine.so");
  EXPECT_EQ(find(at("studies/mine.so")).schema.result_version, 2);
}

TEST_F(WorkloadCatalog, AnUnknownNameListsTheKnownOnesAndTheNearest) {
  add("built_in/ddp", "ddp");
  add("built_in/fusion", "fusion");
  EXPECT_EQ(error_of(ExitCode::config, [&] { find("fusoin"); }),
            at("studies/x.toml") +
                ":2:1: there is no workload 'fusoin'; did you mean 'fusion'? known are: ddp, exec, fusion; "
                "your own is a "
                "path, as \"./mine.so\"");
  const std::string text = error_of(ExitCode::config, [&] { find("resnet"); });
  EXPECT_NE(text.find("; known are: ddp, exec, fusion"), std::string::npos) << text;
}

TEST_F(WorkloadCatalog, AMissingPluginIsNamed) {
  EXPECT_EQ(error_of(ExitCode::workload, [&] { find("./mine.so"); }),
            at("studies/x.toml") + ":2:1: there is no plugin '" + at("studies/mine.so") +
                "'; build it, or correct the path; a relative one starts at the experiment's file");
}

TEST_F(WorkloadCatalog, AManifestThatIsMissingOrOlderThanItsPluginNamesTheCommandThatMakesIt) {
  add("studies/mine", "mine");
  const std::string command = "make it with: muster-runner --describe " + at("studies/mine.so") +
                              " --output " + at("studies/mine.json");
  fs::last_write_time(folder_ / "studies/mine.json",
                      fs::last_write_time(folder_ / "studies/mine.so") - std::chrono::seconds(1));
  EXPECT_EQ(error_of(ExitCode::workload, [&] { find("./mine.so"); }),
            "the manifest '" + at("studies/mine.json") + "' is older than its plugin; " + command);
  fs::remove(folder_ / "studies/mine.json");
  const std::string text = error_of(ExitCode::workload, [&] { find("./mine.so"); });
  EXPECT_NE(text.find(command), std::string::npos) << text;
}

TEST_F(WorkloadCatalog, ABuiltInWithoutItsPluginIsNamed) {
  add("built_in/ddp", "ddp");
  fs::remove(folder_ / "built_in/ddp.so");
  error_of(ExitCode::workload, [&] { find("ddp"); });
}

}  // namespace
}  // namespace muster
