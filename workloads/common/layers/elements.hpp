#pragma once
/// Tensors as the elements that the hand-written loops take.

#include <torch/torch.h>

#include "workloads/common/kernels/kernels.hpp"

namespace muster::workloads {

/// body(a double, a Bf16 or a float), as the tensor's elements are.
template <class Body>
auto with_element(const torch::Tensor& tensor, const Body& body) {
  switch (tensor.scalar_type()) {
    case torch::kFloat64:
      return body(double{});
    case torch::kBFloat16:
      return body(Bf16{});
    default:
      return body(float{});
  }
}

/// Null of an undefined tensor.
template <class Element>
const Element* read(const torch::Tensor& tensor) {
  return tensor.defined() ? static_cast<const Element*>(tensor.const_data_ptr()) : nullptr;
}
template <class Element>
Element* write(const torch::Tensor& tensor) {
  return tensor.defined() ? static_cast<Element*>(tensor.mutable_data_ptr()) : nullptr;
}

}  // namespace muster::workloads
