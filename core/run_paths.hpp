#pragma once
/// The one place that spells the names of files and folders; docs/files.md says who writes each and what a
/// crash leaves.

#include <filesystem>
#include <string>

namespace muster {

/// `RUNS/EXPERIMENT/tasks/LABEL-ID/`: shared by every run that holds this cell.
class TaskPaths {
 public:
  explicit TaskPaths(std::filesystem::path folder) : folder_(std::move(folder)) {}
  const std::filesystem::path& folder() const { return folder_; }
  std::filesystem::path task_file() const { return folder_ / "task.toml"; }
  std::filesystem::path claim(int attempt) const { return folder_ / ("claim-" + std::to_string(attempt)); }
  std::filesystem::path attempt(int attempt) const {
    return folder_ / ("attempt-" + std::to_string(attempt));
  }
  std::filesystem::path checkpoints() const { return folder_ / "checkpoints"; }
  std::filesystem::path artifacts() const { return folder_ / "artifacts"; }
  std::filesystem::path done() const { return folder_ / "done.json"; }

 private:
  std::filesystem::path folder_;
};

/// `RUNS/EXPERIMENT/tasks/LABEL-ID/attempt-N/`: all that one gang writes.
class AttemptPaths {
 public:
  explicit AttemptPaths(std::filesystem::path folder) : folder_(std::move(folder)) {}
  const std::filesystem::path& folder() const { return folder_; }
  std::filesystem::path log() const { return folder_ / "log.txt"; }  ///< stdout and stderr of the gang
  std::filesystem::path events() const { return folder_ / "events.jsonl"; }    ///< rank 0's
  std::filesystem::path metrics_h5() const { return folder_ / "metrics.h5"; }  ///< rank 0's
  /// Rank 0's: the first declared table.
  std::filesystem::path metrics_csv() const { return folder_ / "metrics.csv"; }
  /// Rank 0's: any other table.
  std::filesystem::path metrics_csv(const std::string& table) const {
    return folder_ / ("metrics-" + table + ".csv");
  }
  std::filesystem::path gang() const {
    return folder_ / "gang.json";
  }  ///< shim: what it was asked to start, where
  std::filesystem::path exit_record() const { return folder_ / "exit.json"; }  ///< shim: how the gang ended
  std::filesystem::path rank_end(int rank) const {
    return folder_ / ("rank-" + std::to_string(rank));
  }  ///< of a step of Slurm's: how this rank ended
  std::filesystem::path failure(int rank) const {
    return folder_ / ("failure-" + std::to_string(rank) + ".json");
  }
  std::filesystem::path binding() const { return folder_ / "binding.json"; }  ///< rank 0's: docs/binding.md
  std::filesystem::path stop_request() const { return folder_ / "stop"; }     ///< there: save and stop

 private:
  std::filesystem::path folder_;
};

/// `RUNS/EXPERIMENT/TIME/submissions/N/`: what was asked of the batch system.
class SubmissionPaths {
 public:
  explicit SubmissionPaths(std::filesystem::path folder) : folder_(std::move(folder)) {}
  const std::filesystem::path& folder() const { return folder_; }
  std::filesystem::path request() const { return folder_ / "request.json"; }
  std::filesystem::path script() const { return folder_ / "script.sh"; }
  std::filesystem::path job() const { return folder_ / "job.json"; }  ///< the batch system's answer

 private:
  std::filesystem::path folder_;
};

/// `RUNS/EXPERIMENT/TIME/`: one run.
class RunPaths {
 public:
  explicit RunPaths(std::filesystem::path folder) : folder_(std::move(folder)) {}
  const std::filesystem::path& folder() const { return folder_; }
  std::filesystem::path experiment_file() const { return folder_ / "experiment.toml"; }
  std::filesystem::path plan() const { return folder_ / "plan.json"; }
  std::filesystem::path environment() const { return folder_ / "environment.json"; }
  std::filesystem::path tasks() const { return folder_ / "tasks.json"; }  ///< resolved: a job reads these
  std::filesystem::path slurm() const { return folder_ / "slurm.json"; }  ///< what the site's Slurm can do
  std::filesystem::path submissions() const { return folder_ / "submissions"; }
  SubmissionPaths submission(int n) const { return SubmissionPaths(submissions() / std::to_string(n)); }
  std::filesystem::path journal_folder() const { return folder_ / "journal"; }
  /// There: this task ends, and the others go on.
  std::filesystem::path cancel(int task) const { return folder_ / ("cancel-task-" + std::to_string(task)); }
  /// `part`: "" of the whole run's launcher, "task-7" of the one that drives this task alone.
  std::filesystem::path launcher_claim(const std::string& part, int n) const {
    return folder_ / ("launcher-" + (part.empty() ? "" : part + "-") + std::to_string(n));
  }
  /// Of the launcher that holds launcher_claim(part, n).
  std::filesystem::path launcher_journal(const std::string& part, int n) const {
    return journal_folder() / (launcher_claim(part, n).filename().string() + ".jsonl");
  }
  std::filesystem::path log(const std::string& part = "") const {
    return folder_ / (part.empty() ? "run.log" : "run-" + part + ".log");
  }
  std::filesystem::path sweep_h5() const { return folder_ / "sweep.h5"; }
  std::filesystem::path summary_csv() const { return folder_ / "summary.csv"; }

 private:
  std::filesystem::path folder_;
};

/// `RUNS/EXPERIMENT/`.
class ExperimentPaths {
 public:
  ExperimentPaths(const std::filesystem::path& runs_root, const std::string& experiment)
      : folder_(runs_root / experiment) {}
  const std::filesystem::path& folder() const { return folder_; }
  TaskPaths task(const std::string& folder_name) const { return TaskPaths(folder_ / "tasks" / folder_name); }
  RunPaths run(const std::string& name) const { return RunPaths(folder_ / name); }

 private:
  std::filesystem::path folder_;
};

/// Where `--runs` is not given: `$MUSTER_RUNS`, else `results/runs` below the current folder.
std::filesystem::path default_runs_root();

}  // namespace muster
