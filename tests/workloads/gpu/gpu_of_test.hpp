#pragma once
/// The GPU that a test of training runs on: a real one, or an emulation of LibTorch's CUDA device.

#include <string>

namespace muster::workloads::testing {

/// Why there are not so many that LibTorch can use; empty where they are there.
std::string missing_gpus(int wanted);

}  // namespace muster::workloads::testing
