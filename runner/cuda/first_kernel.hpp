#pragma once
/// For nvcc: no header of ours.

#include <cuda_runtime_api.h>

namespace muster {

/// Sets `*out`, in device memory, to 0.
cudaError_t clear_by_kernel(int* out, cudaStream_t stream);

}  // namespace muster
