#include "workloads/common/weights_loading.hpp"

#include <cstring>

#include "core/error.hpp"
#include "workloads/common/training_state.hpp"

namespace muster::workloads {
namespace {

torch::ScalarType torch_type(DType type) {
  switch (type) {
    case DType::u8:
      return torch::kUInt8;
    case DType::i8:
      return torch::kInt8;
    case DType::i16:
      return torch::kInt16;
    case DType::i32:
      return torch::kInt32;
    case DType::i64:
      return torch::kInt64;
    case DType::f16:
      return torch::kFloat16;
    case DType::bf16:
      return torch::kBFloat16;
    case DType::f32:
      return torch::kFloat32;
    case DType::f64:
      return torch::kFloat64;
    case DType::boolean:
      return torch::kBool;
  }
  throw_bug("a type of files that torch does not know");
}

}  // namespace

Matching load_weights(torch::nn::Module& network, const WeightsFile& file, const MatchingRules& rules) {
  const torch::NoGradGuard no_grad;
  const NamedTensors own = named_tensors(network);
  std::vector<WantedTensor> wanted;
  for (const auto& [name, tensor] : own) wanted.push_back({name, tensor.sizes().vec()});
  const Matching matching = match_tensors(wanted, file.tensors(), rules, file.path());
  require_match(matching, file.path());
  for (const TensorMatch& match : matching.matches) {
    const TensorView& view = file.tensors()[match.tensor];
    const auto source = torch::empty(view.shape, torch_type(view.dtype));  // The file's may be unaligned.
    if (!view.bytes.empty()) std::memcpy(source.mutable_data_ptr(), view.bytes.data(), view.bytes.size());
    torch::Tensor target = own[match.wanted].second;
    target.copy_(source);
  }
  return matching;
}

}  // namespace muster::workloads
