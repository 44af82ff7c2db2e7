#include "workloads/common/layers/dropout.hpp"

#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "workloads/common/counter_random.hpp"

namespace muster::workloads {

torch::Tensor dropout_mask(std::span<const std::int64_t> samples, std::int64_t epoch, std::int64_t units,
                           double rate, std::uint64_t seed, torch::Dtype type, std::uint32_t site) {
  MUSTER_ASSERT(rate >= 0 && rate < 1 && site < 256 && units <= (std::int64_t{1} << 26));
  const CounterRandom random(seed, RandomStream::dropout);
  const auto dropped = static_cast<std::uint64_t>(std::ldexp(rate, 32));
  const auto kept = static_cast<float>(1 / (1 - rate));
  auto mask = torch::empty({static_cast<std::int64_t>(samples.size()), units}, torch::kFloat32);
  auto* value = mask.data_ptr<float>();
  for (const std::int64_t sample : samples) {
    for (std::int64_t unit = 0; unit < units; unit += 4) {
      const auto draws = random.draw(static_cast<std::uint32_t>(epoch), static_cast<std::uint32_t>(sample),
                                     (site << 24) + static_cast<std::uint32_t>(unit / 4));
      for (std::int64_t i = 0; i < std::min<std::int64_t>(4, units - unit); ++i)
        *value++ = draws[static_cast<std::size_t>(i)] < dropped ? 0.0F : kept;
    }
  }
  return mask.to(type);
}

torch::Tensor SampleDropout::operator()(const torch::Tensor& x, double rate, std::uint32_t site) const {
  MUSTER_ASSERT(x.size(0) == static_cast<std::int64_t>(samples_.size()));
  const std::int64_t units = x.numel() / std::max<std::int64_t>(1, x.size(0));
  return x * dropout_mask(samples_, epoch_, units, rate, seed_, x.scalar_type(), site)
                 .to(x.device())
                 .view(x.sizes());
}

}  // namespace muster::workloads
