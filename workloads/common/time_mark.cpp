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

void wait_for(c10::Device device) {
  if (!device.is_cpu()) c10::impl::VirtualGuardImpl(device.type()).getStream(device).synchronize();
}

double TimeSum::seconds() {
  for (const auto& [from, to] : open_) seconds_ += to.seconds_since(from);
  open_.clear();
  return seconds_;
}

double TimeSum::take_reached() {
  double sum = std::exchange(seconds_, 0);
  for (; !open_.empty() && open_.front().second.reached(); open_.pop_front())
    sum += open_.front().second.seconds_since(open_.front().first);
  return sum;
}

}  // namespace muster::workloads
