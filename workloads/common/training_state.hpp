#pragma once
/// A network and its optimiser as named tensors, for checkpoints and weights files.

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/safetensors.hpp"
#include "workloads/common/models/network.hpp"
#include "workloads/common/optimiser.hpp"

namespace muster::workloads {

/// Parameters, then buffers, in the order in which the module registered them.
NamedTensors named_tensors(const torch::nn::Module& module);
/// Parameters alone.
NamedTensors named_parameters(const torch::nn::Module& module);
/// Without their names.
std::vector<torch::Tensor> tensors_of(const NamedTensors& named);

/// Views of tensors' memory; tensors elsewhere or not contiguous are copied first, and the copies kept here.
class TensorViews {
 public:
  explicit TensorViews(const NamedTensors& tensors);
  /// Valid as long as this object and the tensors.
  const std::vector<TensorView>& views() const { return views_; }

 private:
  std::vector<torch::Tensor> kept_;
  std::vector<TensorView> views_;
};

/// What a training goes on from: "model.NAME" for parameters and buffers, and the optimiser's state. Nothing
/// else of a training is state: orders and augmentation are functions of seed, epoch and step.
NamedTensors training_tensors(const torch::nn::Module& module, const Optimiser& optimiser);

/// Writes a .safetensors file aside, fsyncs it and renames it into place. Throws Error(storage).
void write_weights(const std::filesystem::path& file, const NamedTensors& tensors,
                   const std::map<std::string, std::string>& metadata);

/// Fills every tensor from the file, by name. Throws Error(checkpoint): one missing, or of another shape or
/// type. What the file holds beyond them is left alone.
void restore(const NamedTensors& tensors, const SafetensorsFile& file);

DType dtype_of(torch::ScalarType type);

}  // namespace muster::workloads
