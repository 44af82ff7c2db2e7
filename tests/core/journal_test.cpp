#include "core/journal.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <random>

#include "tests/support/error_of.hpp"
#include "tests/support/own_mount.hpp"
#include "tests/support/processes.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

using testing::error_of;
using testing::OwnMount;
using testing::TemporaryFolder;
using testing::text_of;
using testing::write_text;

JournalEntry entry(const std::string& task, int attempt, TaskState state, const std::string& reason = "") {
  JournalEntry made;
  made.task = task;
  made.attempt = attempt;
  made.state = state;
  made.reason = reason;
  return made;
}

void write_three(const std::filesystem::path& file) {
  Journal journal(file);
  journal.append(entry("a-1", 1, TaskState::starting));
  journal.append(entry("a-1", 1, TaskState::running, "pid 7 \"quoted\" ümlaut\nsecond line"));
  journal.append(entry("a-1", 1, TaskState::failed, "exit 9"));
}

std::vector<std::string> reasons(const std::vector<JournalEntry>& entries) {
  std::vector<std::string> found;
  for (const JournalEntry& one : entries) found.push_back(one.reason);
  return found;
}

TEST(Journal, GivesBackWhatWasAppended) {
  const TemporaryFolder folder;
  write_three(folder / "journal" / "a.jsonl");
  const auto entries = read_journal(folder / "journal");
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_EQ(entries[0].sequence, 1);
  EXPECT_EQ(entries[2].sequence, 3);
  EXPECT_EQ(entries[1].state, TaskState::running);
  EXPECT_EQ(entries[1].reason, "pid 7 \"quoted\" ümlaut\nsecond line");
  EXPECT_GT(entries[0].unix_time, 1e9);
  EXPECT_TRUE(read_journal(folder / "nowhere").empty());
}

TEST(Journal, KeepsTheHostThatTheRunGaveUp) {
  const TemporaryFolder folder;
  JournalEntry given_up;
  given_up.host = "n1";
  Journal(folder / "a.jsonl").append(given_up);
  write_three(folder / "b.jsonl");
  const auto entries = read_journal(folder.path());
  ASSERT_EQ(entries.size(), 4U);
  EXPECT_EQ(entries[0].host, "n1");
  EXPECT_EQ(entries[1].host, "");
}

TEST(Journal, ContinuesItsNumbersWhenOpenedAgain) {
  const TemporaryFolder folder;
  write_three(folder / "a.jsonl");
  write_three(folder / "a.jsonl");
  const auto entries = read_journal(folder.path());
  ASSERT_EQ(entries.size(), 6U);
  EXPECT_EQ(entries[5].sequence, 6);
}

TEST(Journal, CutAtAnyByteKeepsTheWholeLinesBeforeAndGoesOn) {
  const TemporaryFolder folder;
  write_three(folder / "whole" / "a.jsonl");
  const std::string whole = text_of(folder / "whole" / "a.jsonl");
  for (std::size_t length = 0; length <= whole.size(); ++length) {
    const auto file = folder / "cut" / "a.jsonl";
    write_text(file, whole.substr(0, length));
    const auto lines =
        static_cast<std::size_t>(std::count(whole.begin(), whole.begin() + static_cast<long>(length), '\n'));
    ASSERT_EQ(read_journal(folder / "cut").size(), lines) << "cut at " << length;
    {
      Journal journal(file);
      journal.append(entry("b-2", 1, TaskState::done, "after"));
    }
    const auto entries = read_journal(folder / "cut");
    ASSERT_EQ(entries.size(), lines + 1) << "cut at " << length;
    ASSERT_EQ(entries.back().reason, "after");
    ASSERT_EQ(entries.back().sequence, static_cast<std::int64_t>(lines) + 1);
  }
}

TEST(Journal, AFlippedBitIsNeverTakenForAnEntry) {
  const TemporaryFolder folder;
  write_three(folder / "whole" / "a.jsonl");
  const std::string whole = text_of(folder / "whole" / "a.jsonl");
  const auto expected = reasons(read_journal(folder / "whole"));
  const std::size_t last_line = whole.rfind('\n', whole.size() - 2) + 1;
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << (at % 8)));
    write_text(folder / "flipped" / "a.jsonl", flipped);
    try {
      const auto found = reasons(read_journal(folder / "flipped"));
      // Only damage to the last line, or to what parts it from the one before, may pass in silence: it cannot
      // be told from a torn write.
      ASSERT_GE(at, last_line - 1) << "bit of byte " << at;
      const std::size_t kept = at == last_line - 1 ? 1 : 2;
      ASSERT_EQ(found, std::vector(expected.begin(), expected.begin() + static_cast<long>(kept)))
          << "bit of byte " << at;
    } catch (const Error& error) {
      ASSERT_EQ(static_cast<int>(error.code()), static_cast<int>(ExitCode::storage));
      // The flip may make a newline, and so a torn line that is not the last.
      ASSERT_TRUE(at < last_line || flipped[at] == '\n') << error.what();
      ASSERT_TRUE(error.place().has_value());
      ASSERT_EQ(error.place()->line,
                1 + std::count(whole.begin(), whole.begin() + static_cast<long>(at), '\n'));
    }
  }
}

TEST(Journal, DamageBeforeTheEndNamesFileAndLineToReaderAndWriter) {
  const TemporaryFolder folder;
  const auto file = folder / "a.jsonl";
  write_three(file);
  std::string text = text_of(file);
  text[text.find('\n') + 30] ^= 1;
  write_text(file, text);
  const std::string expected =
      file.string() +
      ":2:1: the journal is damaged: this line's checksum or number is wrong; something other "
      "than muster wrote here, or the disk is failing; move the run's folder away to start a "
      "new run (finished tasks stay finished)";
  EXPECT_EQ(error_of(ExitCode::storage, [&] { read_journal(folder.path()); }), expected);
  EXPECT_EQ(error_of(ExitCode::storage, [&] { Journal again(file); }), expected);
  EXPECT_EQ(text_of(file), text);
}

TEST(Journal, ALostLineIsDamageEvenWhereTheRestHolds) {
  const TemporaryFolder folder;
  write_three(folder / "a.jsonl");
  std::string text = text_of(folder / "a.jsonl");
  const std::size_t first = text.find('\n') + 1;
  const std::size_t second = text.find('\n', first) + 1;
  write_text(folder / "a.jsonl", text.substr(0, first) + text.substr(second) + text.substr(second));
  error_of(ExitCode::storage, [&] { read_journal(folder.path()); });
}

TEST(Journal, ZerosAfterAPowerLossAreATornTail) {
  const TemporaryFolder folder;
  write_three(folder / "a.jsonl");
  write_text(folder / "a.jsonl", text_of(folder / "a.jsonl") + std::string(4096, '\0'));
  EXPECT_EQ(read_journal(folder.path()).size(), 3U);
  write_three(folder / "a.jsonl");
  EXPECT_EQ(read_journal(folder.path()).size(), 6U);
}

TEST(Journal, AFullDiskLeavesNoHalfLine) {
  const TemporaryFolder folder;
  OwnMount mount(folder.path(), 16);
  if (!mount.reason().empty()) GTEST_SKIP() << mount.reason();
  Journal journal(folder / "a.jsonl");
  int appended = 0;
  const std::string text = error_of(ExitCode::storage, [&] {
    for (; appended < 1000; ++appended)
      journal.append(entry("a-1", 1, TaskState::failed, std::string(100, 'x')));
  });
  EXPECT_NE(text.find("No space left on device"), std::string::npos) << text;
  EXPECT_GT(appended, 10);
  EXPECT_EQ(read_journal(folder.path()).size(), static_cast<std::size_t>(appended));
  EXPECT_EQ(text_of(folder / "a.jsonl").back(), '\n');
  error_of(ExitCode::storage,
           [&] { journal.append(entry("a-1", 1, TaskState::done, std::string(2000, 'x'))); });
  EXPECT_EQ(read_journal(folder.path()).size(), static_cast<std::size_t>(appended));
}

TEST(Journal, WhatWasAppendedSurvivesAKill) {
  const TemporaryFolder folder;
  int reports[2];
  ASSERT_EQ(pipe(reports), 0);
  const pid_t writer = fork();
  ASSERT_GE(writer, 0);
  if (writer == 0) {
    Journal journal(folder / "a.jsonl");
    for (int i = 1;; ++i) {
      journal.append(entry("a-1", i, TaskState::running));
      (void)!write(reports[1], &i, sizeof i);
    }
  }
  close(reports[1]);
  int reported = 0;
  while (reported < 200 && read(reports[0], &reported, sizeof reported) == sizeof reported) {
  }
  kill(writer, SIGKILL);
  waitpid(writer, nullptr, 0);
  EXPECT_GE(read_journal(folder.path()).size(), static_cast<std::size_t>(reported));
  close(reports[0]);
}

TEST(Fold, TheHighestAttemptsFurthestStateHoldsWhateverTheOrder) {
  std::vector<JournalEntry> entries;
  for (const char* task : {"", "a-1", "b-2"}) {
    for (int attempt = 1; attempt <= 3; ++attempt) {
      for (const TaskState state : {TaskState::starting, TaskState::running, TaskState::failed}) {
        JournalEntry one = entry(task, attempt, state, std::string(task) + std::to_string(attempt));
        // Writers' clocks disagree: later attempts may carry earlier times.
        one.unix_time = 100 - attempt;
        one.sequence = static_cast<std::int64_t>(entries.size());
        entries.push_back(one);
      }
    }
  }
  entries.push_back(entry("b-2", 3, TaskState::done, "b-2 done"));
  const auto expected = fold(entries);
  EXPECT_EQ(expected.at("a-1").attempt, 3);
  EXPECT_EQ(expected.at("a-1").state, TaskState::failed);
  EXPECT_EQ(expected.at("b-2").state, TaskState::done);
  EXPECT_EQ(expected.size(), 3U);
  std::mt19937 random(1);
  for (int i = 0; i < 200; ++i) {
    std::shuffle(entries.begin(), entries.end(), random);
    ASSERT_EQ(fold(entries), expected);
  }
}

TEST(Fold, JoinsTheFilesOfSeveralWriters) {
  const TemporaryFolder folder;
  {
    Journal one(folder / "login.jsonl");
    Journal two(folder / "array-1.jsonl");
    one.append(entry("a-1", 1, TaskState::starting));
    two.append(entry("a-1", 2, TaskState::starting));
    one.append(entry("a-1", 1, TaskState::failed));
    two.append(entry("b-2", 1, TaskState::done));
  }
  write_text(folder / "notes.txt", "no journal");
  const auto states = fold(read_journal(folder.path()));
  EXPECT_EQ(states.at("a-1").attempt, 2);
  EXPECT_EQ(states.at("b-2").state, TaskState::done);
}

}  // namespace
}  // namespace muster
