#pragma once
/// How far a training on a GPU may be from the same on a CPU.

#include <torch/torch.h>

#include <algorithm>
#include <filesystem>

#include "core/safetensors.hpp"
#include "runner/workload.hpp"

namespace muster::workloads::testing {

inline constexpr Device kOneGpu{.kind = Device::Kind::cuda, .index = 0, .threads = 1};

/// What another order of the same sums in fp64 may come to within a few steps; in fp32 it is 10^5 times as
/// much.
inline constexpr double kOtherOrder = 1e-10;

/// The largest difference between the weights in two files, as a share of the largest weight.
inline double distance_of_weights(const std::filesystem::path& one, const std::filesystem::path& other) {
  const SafetensorsFile a(one), b(other);
  const auto values = [](const TensorView& view) {
    const auto type = view.dtype == DType::f64 ? torch::kFloat64 : torch::kFloat32;
    return torch::from_blob(const_cast<std::byte*>(view.bytes.data()), view.shape, type).to(torch::kFloat64);
  };
  double largest = 0, difference = 0;
  for (const TensorView& tensor : a.tensors()) {
    if (tensor.dtype != DType::f64 && tensor.dtype != DType::f32) continue;
    const auto x = values(tensor), y = values(*b.find(tensor.name));
    largest = std::max(largest, x.abs().max().item<double>());
    difference = std::max(difference, (x - y).abs().max().item<double>());
  }
  return difference / largest;
}

}  // namespace muster::workloads::testing
