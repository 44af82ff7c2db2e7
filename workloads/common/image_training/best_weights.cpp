#include "workloads/common/image_training/best_weights.hpp"

#include <cstdio>

#include "core/error.hpp"
#include "core/value.hpp"
#include "workloads/common/training_state.hpp"

namespace muster::workloads {
namespace {

constexpr const char* kBest = "best";  // in a checkpoint's metadata: epoch and accuracy
constexpr const char* kPrefix = "best.";

}  // namespace

bool BestWeights::offer(std::int64_t epoch, double accuracy, const NamedTensors& tensors) {
  if (!(accuracy > accuracy_)) return false;
  epoch_ = epoch;
  accuracy_ = accuracy;
  tensors_.clear();
  for (const auto& [name, tensor] : tensors) tensors_.emplace_back(name, tensor.detach().clone());
  write();
  return true;
}

NamedTensors BestWeights::tensors() const {
  NamedTensors tensors;
  for (const auto& [name, tensor] : tensors_) tensors.emplace_back(kPrefix + name, tensor);
  return tensors;
}

std::map<std::string, std::string> BestWeights::metadata() const {
  if (epoch_ == 0) return {};
  char text[64];
  std::snprintf(text, sizeof text, "%lld %a", static_cast<long long>(epoch_), accuracy_);
  return {{kBest, text}};
}

void BestWeights::restore(const LoadedCheckpoint& checkpoint, const NamedTensors& like) {
  const auto best = checkpoint.metadata.find(kBest);
  if (best == checkpoint.metadata.end()) return;
  long long epoch = 0;
  if (std::sscanf(best->second.c_str(), "%lld %la", &epoch, &accuracy_) != 2) {
    throw Error(ExitCode::checkpoint, "the checkpoint's best epoch cannot be read",
                "remove the checkpoints that another version wrote, and start again");
  }
  epoch_ = epoch;
  tensors_.clear();
  for (const auto& [name, tensor] : like) tensors_.emplace_back(name, torch::empty_like(tensor.detach()));
  muster::workloads::restore(tensors(), *checkpoint.shared);
  write();
}

void BestWeights::write() const {
  auto metadata = metadata_;
  metadata["epoch"] = std::to_string(epoch_);
  metadata["validation_accuracy"] = Value(accuracy_).canonical();
  write_weights(file_, tensors_, metadata);
}

}  // namespace muster::workloads
