#pragma once
/// Batch normalisation over the batches of all ranks.

#include <ATen/core/Tensor.h>

#include "runner/communicator.hpp"

namespace muster::workloads {

/// Statistics of the joint batch, as one rank's batch normalisation would see it.
struct SyncBatchNormOptions {
  double eps = 1e-5;
  double momentum = 0.1;
};

/// Collective, and so is its backward pass. Normalises `input` (N, C, ...) by mean and biased variance over
/// all ranks' samples, then scales by `weight` and shifts by `bias` (C each). `running_mean` and
/// `running_var` (C each) take up the joint mean and unbiased variance. Ranks may hold batches of different
/// size, of at least one sample each. Statistics are combined in fp64 and in rank order (Chan, Golub and
/// LeVeque 1983), so they are bitwise the same on every rank. As with local batch normalisation, the
/// gradients of `weight` and `bias` are this rank's share: the gradient exchange averages them.
at::Tensor sync_batch_norm(Communicator& communicator, const at::Tensor& input, const at::Tensor& weight,
                           const at::Tensor& bias, const at::Tensor& running_mean,
                           const at::Tensor& running_var, const SyncBatchNormOptions& options = {});

}  // namespace muster::workloads
