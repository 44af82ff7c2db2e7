#pragma once
/// Lets a layer's backward pass leave a weight's gradient where it will be exchanged, without a copy.

#include <ATen/core/Tensor.h>

#include <unordered_map>
#include <vector>

namespace muster::workloads {

/// While it lives, backward passes that this thread runs find `places[i]` for `parameters[i]`: dense, of the
/// parameter's shape and type. Each is handed out once, so that a weight used twice is summed as ever; one
/// whose parameter has a gradient already, to which a backward pass adds, never is. One at a time on a
/// thread.
class GradientPlaces {
 public:
  GradientPlaces(const std::vector<at::Tensor>& parameters, const std::vector<at::Tensor>& places);
  ~GradientPlaces();
  GradientPlaces(const GradientPlaces&) = delete;
  GradientPlaces& operator=(const GradientPlaces&) = delete;

 private:
  friend at::Tensor gradient_place(const at::Tensor& parameter);
  std::unordered_map<const void*, at::Tensor> by_parameter_;
};

/// For a layer's backward pass: uninitialised memory for all of this parameter's gradient.
at::Tensor gradient_place(const at::Tensor& parameter);

}  // namespace muster::workloads
