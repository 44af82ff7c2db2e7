#pragma once
/// Numbers that a device computes and a host must know, without a wait for all that came after them.

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>

#include <optional>
#include <vector>

namespace muster::workloads {

/// Scalars' values as they are at construction. A GPU's are copied as soon as its current stream has them;
/// what is put on the stream after that does not delay them.
class HostValues {
 public:
  explicit HostValues(const std::vector<at::Tensor>& scalars);
  /// Waits for them.
  std::vector<double> get() const;

 private:
  at::Tensor values_;  ///< fp64 [scalars], in memory of the host
  std::optional<c10::Event> copied_;
};

}  // namespace muster::workloads
