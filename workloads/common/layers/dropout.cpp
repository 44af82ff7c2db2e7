#include "workloads/common/layers/dropout.hpp"

#include <cmath>

#include "core/error.hpp"
#include "workloads/common/counter_random.hpp"

namespace muster::workloads {

torch::Tensor dropout_mask(std::span<const std::int64_t> samples, std::int64_t epoch, std::int64_t units,
                           double rate, std::uint64_t seed, torch::Dtype type) {
  MUSTER_ASSERT(rate >= 0 && rate < 1);
  const CounterRandom random(seed, RandomStream::dropout);
  const auto dropped = static_cast<std::uint64_t>(std::ldexp(rate, 32));
  const auto kept = static_cast<float>(1 / (1 - rate));
  auto mask = torch::empty({static_cast<std::int64_t>(samples.size()), units}, torch::kFloat32);
  auto* value = mask.data_ptr<float>();
  for (const std::int64_t sample : samples) {
    for (std::int64_t unit = 0; unit < units; unit += 4) {
      const auto draws = random.draw(static_cast<std::uint32_t>(epoch), static_cast<std::uint32_t>(sample),
                                     static_cast<std::uint32_t>(unit / 4));
      for (std::int64_t i = 0; i < std::min<std::int64_t>(4, units - unit); ++i)
        *value++ = draws[static_cast<std::size_t>(i)] < dropped ? 0.0F : kept;
    }
  }
  return mask.to(type);
}

}  // namespace muster::workloads
