#pragma once
/// The run's journal: one append-only file a writer, a checksummed JSON line an entry. docs/journal.md has
/// the format.

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace muster {

/// States of a task in a run, in the order they can follow each other within an attempt. A blocked one needs
/// a task that failed; that follows from the other's state and is in no journal.
enum class TaskState { pending, starting, running, stopped, failed, done, blocked };

const char* to_string(TaskState state);

/// One state change.
struct JournalEntry {
  std::int64_t sequence = 0;  ///< set by append, from 1 in each file
  double unix_time = 0;       ///< set by append
  std::string task;           ///< folder name; empty: of the run itself
  int attempt = 0;
  TaskState state = TaskState::pending;
  int exit_code = 0;
  std::string reason;  ///< one line for a person
  std::string host{};  ///< of the run itself: nothing more goes to this host; else empty

  bool operator==(const JournalEntry&) const = default;
};

/// The writer of one file. A torn tail (crash in mid-line) is cut off on open.
class Journal {
 public:
  /// Throws Error(storage).
  explicit Journal(const std::filesystem::path& file);
  ~Journal();
  Journal(Journal&&) noexcept;
  Journal& operator=(Journal&&) noexcept;

  /// Returns when the line is on disk: call it before the effect that it announces. Throws Error(storage).
  void append(JournalEntry entry);
  /// Puts the line down without waiting for the disk; sync() waits for all that were put down.
  void put(JournalEntry entry);
  void sync();

 private:
  int descriptor_ = -1;
  std::int64_t sequence_ = 0;
  std::filesystem::path file_;
};

/// All whole entries of all writers. A damaged line ends its file's reading unless it is not the last: then
/// Error(storage) names file and line.
std::vector<JournalEntry> read_journal(const std::filesystem::path& folder);

/// The entry that holds for each task, whatever the order of `entries`: the highest attempt's latest state.
std::map<std::string, JournalEntry> fold(const std::vector<JournalEntry>& entries);

}  // namespace muster
