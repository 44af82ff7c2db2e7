#include "workloads/common/time_mark.hpp"

#include <c10/core/impl/VirtualGuardImpl.h>

namespace muster::workloads {

TimeMark::TimeMark(c10::Device device) {
  if (device.is_cpu()) {
    host_ = std::chrono::steady_clock::now();
    return;
  }
  // Events of the other flag tell no time.
  reached_ = std::make_shared<c10::Event>(device.type(), c10::EventFlag::BACKEND_DEFAULT);
  reached_->record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
}

double TimeMark::seconds_since(const TimeMark& earlier) const {
  if (!reached_) return std::chrono::duration<double>(host_ - earlier.host_).count();
  earlier.reached_->synchronize();
  reached_->synchronize();
  return 1e-3 * earlier.reached_->elapsedTime(*reached_);
}

double TimeSum::seconds() {
  for (const auto& [from, to] : open_) seconds_ += to.seconds_since(from);
  open_.clear();
  return seconds_;
}

}  // namespace muster::workloads
