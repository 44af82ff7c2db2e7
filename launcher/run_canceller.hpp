#pragma once
/// Ends the jobs of a run.

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/run_paths.hpp"
#include "slurm/batch_system.hpp"

namespace muster {

struct CancelWish {
  std::optional<int> task;  ///< of an array its element alone; none: all
  bool now = false;         ///< without 'save and stop' first
  /// How long what was asked to stop may take, before it is cancelled.
  std::chrono::milliseconds patience{40'000};
  /// How long Slurm may take to end what was cancelled.
  std::chrono::milliseconds longest_end{90'000};
  std::chrono::milliseconds look_every{1000};
};

struct CancelledJob {
  std::string job;     ///< "17", "17_3"
  std::string was;     ///< "runs on n1"
  bool saved = false;  ///< it ended by itself, after it was asked to; else it was cancelled
};

/// Jobs that are asked for meanwhile, by one that ends, are ended too. Returns once none lives. Each step is
/// told to `tell`, a line at a time. Throws Error(busy) where Slurm does not answer, or something of them
/// does not end; Error(usage) for a task that has no job of its own.
std::vector<CancelledJob> cancel_jobs(const RunPaths& run, const CancelWish& wish, BatchSystem& system,
                                      const std::function<void(const std::string&)>& tell);

}  // namespace muster
