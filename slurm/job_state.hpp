#pragma once
/// States of jobs as squeue and sacct print them, read tolerantly: what is unknown is kept as text.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace muster {

enum class JobPhase {
  pending,     ///< waits, is held, was requeued, or its nodes are being booted
  running,     ///< also suspended, resizing, stage-out
  completing,  ///< its processes are being ended
  ended,
  unknown,  ///< a state that this code has no word for
};

/// Why a job ended.
enum class JobEnd {
  none,  ///< it has not
  completed,
  failed,
  timeout,
  cancelled,
  preempted,
  node_failure,
  out_of_memory,
  deadline,
  boot_failure,
  other,  ///< moved to another cluster of a federation
};

struct JobStatus {
  std::string job;         ///< "123": of an array the master's
  std::string array_task;  ///< "7"; of pending elements a range "8-20%4"; empty: no array
  std::string own_id;      ///< the element's own job id; `job` without array
  std::string state;       ///< as printed: "RUNNING", "CANCELLED by 1000"
  std::string reason;      ///< "Resources", "DependencyNeverSatisfied"; empty where none
  std::string comment;
  std::string name;
  std::string partition;
  std::string nodes;  ///< "n[1-2]"
  int restarts = 0;
  std::optional<std::int64_t> start;  ///< unix seconds; of a pending job: when Slurm expects it to
  std::optional<std::int64_t> end;    ///< unix seconds; of a running job: its limit
  std::optional<int> exit_code;       ///< of an ended job
  std::optional<int> signal;          ///< that ended it; none: no signal did
};

/// "RUNNING", "R", "CANCELLED by 1000", "NODE_FAIL", "COMPLETED+", any case.
JobPhase phase_of(const std::string& state);
JobEnd end_of(const std::string& state);

/// For `squeue -h -a -t all -O kSqueueFormat` (-o knows no restarts). Each field ends with a separator
/// (0x1f), so that names and comments with newlines, blanks and bars survive; a record that does not is left
/// out and counted.
extern const char* const kSqueueFormat;
std::vector<JobStatus> parse_squeue(const std::string& text, int* damaged = nullptr);
/// For `sacct -X -n -P --delimiter=kSacctDelimiter --format=kSacctFormat`; steps are left out. It knows
/// neither reasons nor restarts.
extern const char* const kSacctFormat;
extern const char* const kSacctDelimiter;
std::vector<JobStatus> parse_sacct(const std::string& text, int* damaged = nullptr);

/// "waits for resources", "cancelled by user 1000", "ran into its time limit", "a node failed (n2)".
std::string in_plain_words(const JobStatus& status);
/// Nobody will ever start it: a dependency that failed, a limit that it exceeds.
bool never_starts(const JobStatus& status);

/// "n[1-3,7],m01" -> n1 n2 n3 n7 m01.
std::vector<std::string> expand_hostlist(const std::string& text);

}  // namespace muster
