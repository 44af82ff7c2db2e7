#pragma once
/// A task's checkpoints on disk. docs/checkpoints.md says what each crash leaves.

#include <functional>
#include <set>

#include "runner/checkpoint_folder.hpp"
#include "runner/checkpoint_manifest.hpp"
#include "runner/comm/queued_communicator.hpp"
#include "runner/fence.hpp"
#include "runner/task_metrics.hpp"
#include "runner/workload.hpp"

namespace muster {

/// Who writes, and who wants to know. References and functions live as long as the store.
struct CheckpointStoreOptions {
  std::filesystem::path task_folder;
  int attempt = 1;
  QueuedCommunicator& control;  ///< of all ranks; the store's collectives travel on it
  TaskMetrics& metrics;
  /// Rank 0, after a save: the step and when it began and ended (unix time).
  std::function<void(std::int64_t step, double began, double ended)> saved;
  /// Rank 0, after a load: the step and the attempt that had written it.
  std::function<void(std::int64_t step, int attempt)> loaded;
  std::function<void(const std::string& line)> log;  ///< rank 0
};

/// The last two are kept. Collective failures throw on every rank: each its own cause, or whose failure it
/// was.
class CheckpointStore final : public Checkpoints {
 public:
  explicit CheckpointStore(CheckpointStoreOptions options);
  void save(const CheckpointState& state) override;
  std::optional<LoadedCheckpoint> load_newest() override;

 private:
  /// What one rank finds of a published checkpoint.
  struct Candidate {
    CheckpointManifest manifest;
    std::shared_ptr<SafetensorsFile> shared;
    std::shared_ptr<SafetensorsFile> own;
  };
  int rank() const { return options_.control.rank(); }
  void stage(const CheckpointState& state);
  CheckpointFile write_own(const CheckpointState& state, CheckpointFile& shared) const;
  void publish(const CheckpointState& state, const std::vector<CheckpointFile>& all,
               const CheckpointFile& shared);
  void prune();
  std::vector<std::int64_t> agreed_steps();
  std::optional<Error> read(std::int64_t step, Candidate& candidate);

  CheckpointStoreOptions options_;
  CheckpointFolder folder_;
  Fence fence_;
  std::map<std::string, std::uint64_t> metric_rows_;
  std::set<std::int64_t> damaged_;
};

}  // namespace muster
