#include "workloads/common/host_values.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace muster::workloads {

HostValues::HostValues(const std::vector<at::Tensor>& scalars) {
  const at::NoGradGuard no_grad;
  const at::Tensor there = at::stack(scalars).to(at::kDouble);
  const c10::Device device = there.device();
  if (device.is_cpu()) {
    values_ = there;
    return;
  }
  // Into memory that is not pinned the copy would wait for itself.
  values_ = at::empty(there.sizes(), at::TensorOptions(at::kDouble).pinned_memory(true));
  values_.copy_(there, /*non_blocking=*/true);
  copied_.emplace(device.type());
  copied_->record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
}

std::vector<double> HostValues::get() const {
  if (copied_) copied_->synchronize();
  const auto* values = values_.const_data_ptr<double>();
  return {values, values + values_.numel()};
}

}  // namespace muster::workloads
