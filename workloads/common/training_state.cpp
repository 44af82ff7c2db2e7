#include "workloads/common/training_state.hpp"

#include <algorithm>
#include <cstring>
#include <system_error>

#include "core/durable_file.hpp"
#include "core/error.hpp"

namespace muster::workloads {
namespace {

[[noreturn]] void refuse(const std::string& name, const std::string& why) {
  throw Error(ExitCode::checkpoint, "the checkpoint's tensor '" + name + "' " + why,
              "it belongs to another network or another version; start the task anew");
}

}  // namespace

NamedTensors named_parameters(const torch::nn::Module& module) {
  NamedTensors tensors;
  for (const auto& item : module.named_parameters()) tensors.emplace_back(item.key(), item.value());
  return tensors;
}

NamedTensors named_tensors(const torch::nn::Module& module) {
  NamedTensors tensors = named_parameters(module);
  for (const auto& item : module.named_buffers()) tensors.emplace_back(item.key(), item.value());
  return tensors;
}

DType dtype_of(torch::ScalarType type) {
  switch (type) {
    case torch::kUInt8:
      return DType::u8;
    case torch::kInt8:
      return DType::i8;
    case torch::kInt16:
      return DType::i16;
    case torch::kInt32:
      return DType::i32;
    case torch::kInt64:
      return DType::i64;
    case torch::kFloat16:
      return DType::f16;
    case torch::kBFloat16:
      return DType::bf16;
    case torch::kFloat32:
      return DType::f32;
    case torch::kFloat64:
      return DType::f64;
    case torch::kBool:
      return DType::boolean;
    default:
      throw_bug("a tensor's type has no name in files and messages");
  }
}

std::vector<torch::Tensor> tensors_of(const NamedTensors& named) {
  std::vector<torch::Tensor> tensors;
  for (const auto& [name, tensor] : named) tensors.push_back(tensor);
  return tensors;
}

TensorViews::TensorViews(const NamedTensors& tensors) {
  for (const auto& [name, tensor] : tensors) {
    kept_.push_back(tensor.detach().to(torch::kCPU).contiguous());
    const auto& kept = kept_.back();
    views_.push_back({name,
                      dtype_of(kept.scalar_type()),
                      kept.sizes().vec(),
                      {static_cast<const std::byte*>(kept.const_data_ptr()), kept.nbytes()}});
  }
}

NamedTensors training_tensors(const torch::nn::Module& module, const Optimiser& optimiser) {
  NamedTensors tensors;
  for (auto& [name, tensor] : named_tensors(module)) tensors.emplace_back("model." + name, tensor);
  tensors.insert(tensors.end(), optimiser.state().begin(), optimiser.state().end());
  return tensors;
}

void write_weights(const std::filesystem::path& file, const NamedTensors& tensors,
                   const std::map<std::string, std::string>& metadata) {
  std::filesystem::path aside = file;
  aside += ".part";
  write_safetensors(aside, TensorViews(tensors).views(), metadata);
  std::error_code problem;
  std::filesystem::rename(aside, file, problem);
  if (problem) throw_storage_error(file, "rename", problem.value());
  fsync_folder(file.parent_path());
}

void restore(const NamedTensors& tensors, const SafetensorsFile& file) {
  const torch::NoGradGuard no_grad;
  for (const auto& [name, tensor] : tensors) {
    const TensorView* view = file.find(name);
    if (!view) refuse(name, "is missing");
    if (view->dtype != dtype_of(tensor.scalar_type())) refuse(name, "has another type");
    if (!std::equal(view->shape.begin(), view->shape.end(), tensor.sizes().begin(), tensor.sizes().end()))
      refuse(name, "has another shape");
    const auto source = torch::empty(tensor.sizes(), torch::TensorOptions(tensor.scalar_type()));
    std::memcpy(source.mutable_data_ptr(), view->bytes.data(), view->bytes.size());
    auto target = tensor;
    target.copy_(source);
  }
}

}  // namespace muster::workloads
