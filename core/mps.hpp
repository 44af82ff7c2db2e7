#pragma once
/// NVIDIA's Multi-Process Service, as far as its clients can see it.

namespace muster {

/// Throws Error(resources) where no MPS daemon has its control pipe on this host: below
/// $CUDA_MPS_PIPE_DIRECTORY, else /tmp/nvidia-mps (https://docs.nvidia.com/deploy/mps). CUDA itself would go
/// on without MPS and say nothing.
void require_mps();

}  // namespace muster
