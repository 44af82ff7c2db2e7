#pragma once
/// The weights of a training's best epoch so far, in a file.

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "workloads/common/image_training/rank_strategy.hpp"

namespace muster::workloads {

/// Rank 0's; not collective. Part of checkpoints, so that a resumed training compares with the same best, and
/// its file is the checkpoint's, whatever an abandoned attempt left there.
class BestWeights {
 public:
  /// `file` is a .safetensors; `metadata` goes into it, with `epoch` and `validation_accuracy`.
  BestWeights(std::filesystem::path file, std::map<std::string, std::string> metadata)
      : file_(std::move(file)), metadata_(std::move(metadata)) {}

  /// Keeps a copy of the tensors and writes the file where the accuracy is above the best so far: of equal
  /// epochs the first counts. Epochs count from 1. Says whether it did. Throws Error(storage).
  bool offer(std::int64_t epoch, double accuracy, const NamedTensors& tensors);

  /// What a checkpoint must hold: "best.NAME"; nothing before the first offer.
  NamedTensors tensors() const;
  std::map<std::string, std::string> metadata() const;
  /// Back to the checkpoint's best, and its file anew. `like` names the tensors with their shapes and types.
  /// Throws Error(checkpoint), Error(storage).
  void restore(const LoadedCheckpoint& checkpoint, const NamedTensors& like);

 private:
  void write() const;

  std::filesystem::path file_;
  std::map<std::string, std::string> metadata_;
  std::int64_t epoch_ = 0;  ///< 0: none yet
  double accuracy_ = -1;
  NamedTensors tensors_;
};

}  // namespace muster::workloads
