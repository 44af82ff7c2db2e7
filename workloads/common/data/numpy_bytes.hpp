#pragma once
/// Arrays of bytes that numpy has pickled, as CIFAR's Python layout holds them.

#include <cstdint>
#include <string>
#include <vector>

#include "core/weights/pickle.hpp"
#include "workloads/common/data/archive.hpp"

namespace muster::workloads {

/// Dtype u1, in row-major order.
struct NumpyBytes {
  std::vector<std::int64_t> shape;
  Bytes data;
};

/// What a batch's pickle may name; `place` names the file in messages.
PickleRules batch_pickle_rules(const std::string& place);

/// The array that numpy would have made of the value. Throws Error(data), naming `place`, where it is none of
/// bytes.
NumpyBytes numpy_bytes(const PickleValue& value, const std::string& place);

}  // namespace muster::workloads
