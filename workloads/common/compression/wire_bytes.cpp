#include "workloads/common/compression/wire_bytes.hpp"

#include <algorithm>
#include <numeric>

namespace muster::workloads {

WireBytes all_gather_bytes(const std::vector<std::size_t>& bytes_of, int rank) {
  const auto ranks = static_cast<int>(bytes_of.size());
  const std::uint64_t all = std::accumulate(bytes_of.begin(), bytes_of.end(), std::uint64_t{0});
  return {all - bytes_of[static_cast<std::size_t>((rank + 1) % ranks)],
          all - bytes_of[static_cast<std::size_t>(rank)]};
}

WireBytes all_reduce_bytes(ExchangeAlgorithm algorithm, std::size_t count, std::size_t width, int rank,
                           int ranks) {
  if (ranks == 1) return {};
  const std::uint64_t all = std::uint64_t{count} * width;
  const auto others = static_cast<std::uint64_t>(ranks - 1);
  switch (algorithm) {
    case ExchangeAlgorithm::library:
      return {};
    case ExchangeAlgorithm::ring: {
      // A piece a rank, the first ones longer by an element where the ranks do not divide them. In each of
      // the two halves every piece but one passes.
      const auto piece = [&](int of) {
        const auto n = static_cast<std::size_t>(ranks);
        const auto r = static_cast<std::size_t>((of + ranks) % ranks);
        return std::uint64_t{count / n + (r < count % n ? 1U : 0U)} * width;
      };
      return {2 * all - piece(rank) - piece(rank + 1), 2 * all - piece(rank - 1) - piece(rank)};
    }
    case ExchangeAlgorithm::tree: {
      std::uint64_t children = 0;
      for (int distance = 1; distance < ranks && (rank & distance) == 0; distance *= 2) {
        children += rank + distance < ranks ? 1 : 0;
      }
      const std::uint64_t messages = children + (rank > 0 ? 1 : 0);
      return {messages * all, messages * all};
    }
    case ExchangeAlgorithm::parameter_server:
      return rank == 0 ? WireBytes{others * all, others * all} : WireBytes{all, all};
  }
  return {};
}

}  // namespace muster::workloads
