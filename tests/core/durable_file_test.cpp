#include "core/durable_file.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <vector>

#include "core/error.hpp"
#include "tests/support/error_of.hpp"
#include "tests/support/own_mount.hpp"
#include "tests/support/processes.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using testing::OwnMount;
using testing::TemporaryFolder;
using testing::text_of;

int files_in(const fs::path& folder) {
  return static_cast<int>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

TEST(DurableFile, ReplacesTheOldTextAndLeavesNothingBeside) {
  const TemporaryFolder folder;
  write_durably(folder / "a", "old");
  write_durably(folder / "a", "");
  EXPECT_EQ(read_text(folder / "a"), "");
  const std::string large(3'000'000, 'x');
  write_durably(folder / "a", large);
  EXPECT_EQ(read_text(folder / "a"), large);
  EXPECT_EQ(files_in(folder.path()), 1);
}

TEST(DurableFile, TakesANameWithoutFolder) {
  const TemporaryFolder folder;
  const fs::path before = fs::current_path();
  fs::current_path(folder.path());
  write_durably("a", "here");
  EXPECT_TRUE(create_exclusively("b", "too"));
  fs::current_path(before);
  EXPECT_EQ(text_of(folder / "a"), "here");
  EXPECT_EQ(text_of(folder / "b"), "too");
}

TEST(DurableFile, CreatesExclusivelyOnce) {
  const TemporaryFolder folder;
  EXPECT_TRUE(create_exclusively(folder / "claim", "first"));
  EXPECT_FALSE(create_exclusively(folder / "claim", "second"));
  EXPECT_EQ(read_text(folder / "claim"), "first");
  EXPECT_EQ(files_in(folder.path()), 1);
}

TEST(DurableFile, OfManyProcessesOneWinsAndItsTextIsWhole) {
  const TemporaryFolder folder;
  constexpr int kProcesses = 8;
  constexpr int kRounds = 60;
  int gate[2];
  ASSERT_EQ(pipe(gate), 0);
  std::vector<pid_t> children;
  for (int child = 0; child < kProcesses; ++child) {
    const pid_t pid = fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
      close(gate[1]);
      char byte = 0;
      (void)!read(gate[0], &byte, 1);  // all start when the gate is closed
      int won = 0;
      for (int round = 0; round < kRounds; ++round) {
        const std::string text(20'000, static_cast<char>('a' + child));
        won += create_exclusively(folder / ("claim-" + std::to_string(round)), text) ? 1 : 0;
      }
      _exit(won);
    }
    children.push_back(pid);
  }
  close(gate[0]);
  close(gate[1]);
  int won = 0;
  for (const pid_t pid : children) {
    int status = 0;
    waitpid(pid, &status, 0);
    ASSERT_TRUE(WIFEXITED(status));
    won += WEXITSTATUS(status);
  }
  EXPECT_EQ(won, kRounds);
  EXPECT_EQ(files_in(folder.path()), kRounds);
  for (int round = 0; round < kRounds; ++round) {
    const std::string text = text_of(folder / ("claim-" + std::to_string(round)));
    ASSERT_EQ(text, std::string(20'000, text.at(0)));
  }
}

TEST(DurableFile, AReaderNeverSeesHalfAFile) {
  const TemporaryFolder folder;
  write_durably(folder / "a", std::string(50'000, 'a'));
  const pid_t writer = fork();
  ASSERT_GE(writer, 0);
  if (writer == 0) {
    for (int i = 0;; ++i) write_durably(folder / "a", std::string(50'000, static_cast<char>('a' + i % 26)));
  }
  for (int i = 0; i < 300; ++i) {
    const std::string text = read_text(folder / "a");
    ASSERT_EQ(text, std::string(50'000, text.at(0)));
  }
  kill(writer, SIGKILL);
  waitpid(writer, nullptr, 0);
  const std::string text = read_text(folder / "a");
  EXPECT_EQ(text, std::string(50'000, text.at(0)));
}

TEST(DurableFile, AFullDiskLeavesTheOldFileAndNoPartOfTheNew) {
  const TemporaryFolder folder;
  OwnMount mount(folder.path(), 64);
  if (!mount.reason().empty()) GTEST_SKIP() << mount.reason();
  write_durably(folder / "a", "old");
  const std::string text =
      error_of(ExitCode::storage, [&] { write_durably(folder / "a", std::string(200'000, 'x')); });
  EXPECT_EQ(text, "cannot write '" + (folder / "a").string() +
                      "': No space left on device; free some space, or choose another folder with --runs or "
                      "$MUSTER_RUNS");
  error_of(ExitCode::storage, [&] { create_exclusively(folder / "b", std::string(200'000, 'x')); });
  EXPECT_EQ(read_text(folder / "a"), "old");
  EXPECT_EQ(files_in(folder.path()), 1);
}

TEST(DurableFile, AReadOnlyDiskIsNamed) {
  const TemporaryFolder folder;
  OwnMount mount(folder.path(), 64);
  if (!mount.reason().empty()) GTEST_SKIP() << mount.reason();
  mount.make_read_only();
  EXPECT_EQ(
      error_of(ExitCode::storage, [&] { write_durably(folder / "a", "x"); }),
      "cannot write '" + (folder / "a").string() +
          "': Read-only file system; choose a folder that you may write to with --runs or $MUSTER_RUNS");
  error_of(ExitCode::storage, [&] { create_exclusively(folder / "a", "x"); });
  error_of(ExitCode::storage, [&] { make_folders(folder / "b" / "c"); });
}

TEST(DurableFile, FoldersAreMadeOrTheReasonIsGiven) {
  const TemporaryFolder folder;
  make_folders(folder / "a" / "b");
  make_folders(folder / "a" / "b");
  EXPECT_TRUE(fs::is_directory(folder / "a" / "b"));
  write_durably(folder / "file", "");
  error_of(ExitCode::storage, [&] { make_folders(folder / "file"); });
  error_of(ExitCode::storage, [&] { make_folders(folder / "file" / "below"); });
  error_of(ExitCode::storage, [&] { read_text(folder / "nothing"); });
  error_of(ExitCode::storage, [&] { read_text(folder / "a"); });
}

}  // namespace
}  // namespace muster
