#pragma once
/// What is asked of Slurm for the tasks of a run: one job that runs them all, or a job a task; how large, and
/// why so. Pure.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/experiment.hpp"
#include "launcher/submission.hpp"
#include "slurm/capabilities.hpp"

namespace muster {

/// A task that is not done.
struct WaitingTask {
  int number = 0;
  std::string label;
  Resources needs;
  std::string stage{};
  std::vector<int> waits_for{};  ///< numbers of other waiting tasks, ascending
};

struct SubmissionWish {
  std::optional<SubmissionKind> kind;  ///< none: whichever is cheaper
  int nodes = 0;                       ///< of the one job; 0: as [slurm] says, else as few as will do
  std::optional<double> task_seconds;  ///< what a task of this experiment took so far; none: not known
};

/// Options of the job, and the place of each key of the file ("slurm.partition").
struct SiteRequest {
  SlurmCapabilities capabilities;
  SlurmOptions options;
  std::map<std::string, SourcePlace> places;
};

/// One call of sbatch.
struct PlannedSubmission {
  SubmissionKind kind = SubmissionKind::pack;
  std::vector<int> tasks;  ///< numbers, ascending
  int first = 0;           ///< of an array: the number of the task with index 0
  /// Tasks of submissions before this one that must be done before it begins; ascending.
  std::vector<int> waits_for{};
  /// Options, size and array; name, command and folders are the caller's.
  JobRequest request;
};

struct SubmissionPlan {
  std::vector<PlannedSubmission> submissions;
  std::string why;  ///< "one job: all 4 tasks run at once on one node"
};

/// `tasks` must not be empty, and each stands behind those that it waits for. An array for each class of
/// tasks with equal resources that wait for the same ones, split where Slurm's indices end; of a stage with
/// more than `kMostClasses` all wait for what any of them needs. Throws Error(resources), at the option's
/// place where it is known, for a task that has no room in the partition, and what check_request throws.
inline constexpr std::size_t kMostClasses = 32;
SubmissionPlan plan_submissions(const std::vector<WaitingTask>& tasks, const SubmissionWish& wish,
                                const SiteRequest& site);

/// What `planned` waits for as Slurm's --dependency takes it: jobs ("17"), and elements of arrays ("18_3") of
/// which not all are needed. `plans` are those before it, `jobs` their ids.
std::vector<std::string> jobs_to_wait_for(const PlannedSubmission& planned,
                                          const std::vector<PlannedSubmission>& plans,
                                          const std::vector<std::string>& jobs);

/// "0-3,7" of ascending indices.
std::string index_ranges(const std::vector<int>& indices);

}  // namespace muster
