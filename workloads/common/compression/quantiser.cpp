#include "workloads/common/compression/quantiser.hpp"

#include <bit>

#include "workloads/common/counter_random.hpp"

namespace muster::workloads {

int code_bits(std::uint32_t levels) { return 1 + static_cast<int>(std::bit_width(levels)); }

Quantisation quantisation_of(const DrawSource& source, const Layer& layer, std::uint32_t step,
                             std::uint32_t levels) {
  const auto of_rank = [&](RandomStream stream) {
    return static_cast<std::uint32_t>(stream) | static_cast<std::uint32_t>(source.rank) << 8;
  };
  Quantisation how;
  how.levels = levels;
  how.bits = code_bits(levels);
  how.key = {source.seed, layer.index, step, of_rank(RandomStream::rounding)};
  how.tie_purpose = of_rank(RandomStream::rounding_tail);
  return how;
}

}  // namespace muster::workloads
