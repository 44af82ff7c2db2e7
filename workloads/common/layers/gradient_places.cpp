#include "workloads/common/layers/gradient_places.hpp"

#include <ATen/ATen.h>

#include "core/error.hpp"

namespace muster::workloads {
namespace {

thread_local GradientPlaces* current = nullptr;

}  // namespace

GradientPlaces::GradientPlaces(const std::vector<at::Tensor>& parameters,
                               const std::vector<at::Tensor>& places) {
  MUSTER_ASSERT(current == nullptr && parameters.size() == places.size());
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (!parameters[i].grad().defined()) by_parameter_.emplace(parameters[i].const_data_ptr(), places[i]);
  }
  current = this;
}

GradientPlaces::~GradientPlaces() { current = nullptr; }

at::Tensor gradient_place(const at::Tensor& parameter) {
  if (current != nullptr) {
    if (auto place = current->by_parameter_.extract(parameter.const_data_ptr())) {
      // autograd takes over only what nobody else refers to: a tensor of its own, on the same memory.
      return place.mapped().detach();
    }
  }
  return at::empty_like(parameter, at::MemoryFormat::Contiguous);
}

}  // namespace muster::workloads
