#include "workloads/common/parallel/slicing.hpp"

#include <optional>

#include "core/error.hpp"

namespace muster::workloads {
namespace {

/// The dimension in which a part differs from the whole; nullopt where it is the whole.
std::optional<std::int64_t> split_dimension(torch::IntArrayRef whole, torch::IntArrayRef part) {
  MUSTER_ASSERT(whole.size() == part.size());
  std::optional<std::int64_t> split;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    if (whole[i] == part[i]) continue;
    MUSTER_ASSERT(!split);
    split = static_cast<std::int64_t>(i);
  }
  return split;
}

}  // namespace

WholeShapes shapes_of(const NamedTensors& whole) {
  WholeShapes shapes;
  for (const auto& [name, tensor] : whole) shapes[name] = tensor.sizes().vec();
  return shapes;
}

void copy_part(const torch::Tensor& whole, const torch::Tensor& part, const RankGroup& group) {
  const torch::NoGradGuard no_grad;
  torch::Tensor target = part;
  const auto split = split_dimension(whole.sizes(), part.sizes());
  if (!split) {
    target.copy_(whole);
    return;
  }
  const SplitRange range = group.part_of(whole.size(*split));
  MUSTER_ASSERT(range.length == part.size(*split));
  target.copy_(whole.narrow(*split, range.begin, range.length));
}

void copy_parts(const NamedTensors& whole, const NamedTensors& part, const RankGroup& group) {
  MUSTER_ASSERT(whole.size() == part.size());
  for (std::size_t i = 0; i < whole.size(); ++i) {
    MUSTER_ASSERT(whole[i].first == part[i].first);
    copy_part(whole[i].second, part[i].second, group);
  }
}

torch::Tensor gather_whole(const torch::Tensor& part, const std::vector<std::int64_t>& whole_shape,
                           const RankGroup& group) {
  const torch::NoGradGuard no_grad;
  const auto split = split_dimension(whole_shape, part.sizes());
  if (!split) return part.detach();
  // Parts follow each other in memory once the split dimension comes first.
  const torch::Tensor own = part.detach().movedim(*split, 0).contiguous();
  auto shape = own.sizes().vec();
  const std::int64_t total = whole_shape[static_cast<std::size_t>(*split)];
  const std::size_t row = own.nbytes() / static_cast<std::size_t>(shape[0]);
  std::vector<std::size_t> bytes_of;
  for (int r = 0; r < group.size(); ++r)
    bytes_of.push_back(row * static_cast<std::size_t>(group.part_of(total, r).length));
  shape[0] = total;
  const torch::Tensor gathered = torch::empty(shape, own.options());
  group.collectives().all_gather_v(own, gathered, bytes_of)->wait();
  return gathered.movedim(0, *split).contiguous();
}

}  // namespace muster::workloads
