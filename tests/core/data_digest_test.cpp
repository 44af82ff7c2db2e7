#include "core/data_digest.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

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
using testing::write_text;

/// Long enough ago for the cache.
void set_modified(const fs::path& file, int seconds) {
  const timespec times[2] = {{1'700'000'000 + seconds, 0}, {1'700'000'000 + seconds, 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, file.c_str(), times, 0), 0);
}

std::string digest_of(const TemporaryFolder& folder, const std::string& name) {
  return DataDigests(folder / "runs").digest_of(folder / name);
}

TEST(DataDigest, IsOfNamesSizesAndContents) {
  const TemporaryFolder folder;
  write_text(folder / "a/x", "1");
  write_text(folder / "a/sub/y", "2");
  write_text(folder / "same/sub/y", "2");
  write_text(folder / "same/x", "1");
  write_text(folder / "moved/x", "2");
  write_text(folder / "moved/sub/y", "1");
  write_text(folder / "joined/x", "12");
  const std::string digest = digest_of(folder, "a");
  EXPECT_EQ(digest.size(), 32U);
  EXPECT_EQ(digest_of(folder, "same"), digest);
  EXPECT_NE(digest_of(folder, "moved"), digest);
  EXPECT_NE(digest_of(folder, "joined"), digest);
  EXPECT_NE(digest_of(folder, "a/x"), digest);
}

TEST(DataDigest, IsRememberedByNameSizeAndTime) {
  const TemporaryFolder folder;
  write_text(folder / "a/x", "one");
  set_modified(folder / "a/x", 0);
  const std::string digest = digest_of(folder, "a");
  EXPECT_TRUE(fs::exists(folder / "runs/data-digests.json"));
  // Other content under the same size and time: only a remembered digest can still be the old one.
  write_text(folder / "a/x", "two");
  set_modified(folder / "a/x", 0);
  EXPECT_EQ(digest_of(folder, "a"), digest);
  set_modified(folder / "a/x", 1);
  EXPECT_NE(digest_of(folder, "a"), digest);
}

TEST(DataDigest, OfAFileThatHasJustChangedIsNotRemembered) {
  const TemporaryFolder folder;
  write_text(folder / "a", "one");
  digest_of(folder, "a");
  EXPECT_FALSE(fs::exists(folder / "runs/data-digests.json"));
}

TEST(DataDigest, ADamagedMemoryIsForgotten) {
  const TemporaryFolder folder;
  write_text(folder / "a", "one");
  set_modified(folder / "a", 0);
  const std::string digest = digest_of(folder, "a");
  const std::string memory = text_of(folder / "runs/data-digests.json");
  for (std::size_t length = 0; length < memory.size(); ++length) {
    write_text(folder / "runs/data-digests.json", memory.substr(0, length));
    ASSERT_EQ(digest_of(folder, "a"), digest);
    fs::remove(folder / "runs/data-digests.json");
  }
  write_text(folder / "runs/data-digests.json", "[1, 2]");
  EXPECT_EQ(digest_of(folder, "a"), digest);
}

TEST(DataDigest, FollowsLinksButNotInCircles) {
  const TemporaryFolder folder;
  write_text(folder / "store/x", "1");
  write_text(folder / "a/x", "1");
  fs::create_directory(folder / "linked");
  fs::create_symlink(folder / "store/x", folder / "linked/x");
  EXPECT_EQ(digest_of(folder, "linked"), digest_of(folder, "a"));
  fs::create_directory_symlink(folder / "a", folder / "a/again");
  EXPECT_EQ(digest_of(folder, "a").size(), 32U);
}

TEST(DataDigest, WhatCannotBeReadIsNamed) {
  const TemporaryFolder folder;
  EXPECT_EQ(error_of(ExitCode::data, [&] { digest_of(folder, "none"); }),
            "cannot read the data set '" + (folder / "none").string() +
                "': No such file or directory; check the path and its permissions");
  fs::create_directory(folder / "a");
  fs::create_symlink(folder / "nowhere", folder / "a/x");
  error_of(ExitCode::data, [&] { digest_of(folder, "a"); });
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  error_of(ExitCode::data, [&] { digest_of(folder, "pipe"); });
}

TEST(DataDigest, NeedsNoPlaceToRememberIt) {
  const TemporaryFolder folder;
  write_text(folder / "a", "one");
  set_modified(folder / "a", 0);
  fs::create_directory(folder / "runs");
  OwnMount mount(folder / "runs", 64);
  if (!mount.reason().empty()) GTEST_SKIP() << mount.reason();
  mount.make_read_only();
  EXPECT_EQ(digest_of(folder, "a").size(), 32U);
}

}  // namespace
}  // namespace muster
