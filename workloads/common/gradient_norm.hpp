#pragma once
/// The length of a gradient, and its bound.

#include <torch/torch.h>

#include <vector>

namespace muster::workloads {

/// Euclidean norm over all parameters' gradients together, summed in fp64 in their order; a parameter without
/// gradient counts as zeros.
double gradient_norm(const std::vector<torch::Tensor>& parameters);

struct ClippedNorm {
  double before = 0;
  double after = 0;  ///< computed anew from the gradients where they were scaled
};

/// Scales all gradients by one factor so that their norm is at most `limit` (Pascanu et al. 2013); 0: none.
/// Gradients whose norm is not finite are left as they are.
ClippedNorm clip_gradients(const std::vector<torch::Tensor>& parameters, double limit);

}  // namespace muster::workloads
