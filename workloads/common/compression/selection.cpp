#include "workloads/common/compression/selection.hpp"

#include <algorithm>
#include <functional>

#include "core/error.hpp"

namespace muster::workloads {
namespace {

constexpr std::uint32_t kHighest = 0xFFFFFFFF;
constexpr std::int64_t kSpare = 64;

/// The largest floor that at least k keys reach.
std::uint32_t bisect(Keys& keys, std::uint32_t likely, std::int64_t k) {
  if (likely < kHighest && keys.count(likely) >= k && keys.count(likely + 1) < k) return likely;
  std::uint32_t low = 0, high = kHighest;
  while (low < high) {
    const std::uint32_t middle = low + (high - low) / 2 + 1;
    if (keys.count(middle) >= k) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

}  // namespace

/// The k-th largest key.
std::uint32_t Selection::threshold_of(Keys& keys, std::int64_t k) {
  const std::int64_t n = keys.size();
  if (k == n) return 0;
  const Keys::Bracket bracket = keys.guess(k);
  const std::int64_t room = std::min(n, n / 16 + 8192) + kSpare;
  std::uint32_t* inside = words_.resize(static_cast<std::size_t>(room));
  std::int64_t above = 0;
  const std::int64_t found = keys.window(bracket.low, bracket.high, room, inside, &above);
  if (found < 0 || above >= k || above + found < k) return bisect(keys, bracket.low, k);
  for (std::int64_t i = 0; i < found; ++i) inside[i] = keys.key_of(inside[i]);
  std::uint32_t* wanted = inside + (k - above - 1);
  std::nth_element(inside, wanted, inside + found, std::greater<>());
  return *wanted;
}

/// Leaves the first of those that are equal to the threshold.
void Selection::drop_ties(const Keys& keys, std::uint32_t threshold, std::int64_t k) {
  std::uint32_t* index = index_.data();
  std::uint32_t* words = words_.data();
  std::int64_t ties = k;
  for (std::size_t i = 0; i < kept_; ++i) ties -= keys.key_of(words[i]) > threshold ? 1 : 0;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < kept_; ++i) {
    const bool above = keys.key_of(words[i]) > threshold;
    const bool keep = above || ties > 0;
    index[kept] = index[i];
    words[kept] = words[i];
    kept += keep ? 1 : 0;
    ties -= above ? 0 : 1;
  }
  kept_ = kept;
}

void Selection::select(Keys& keys, std::int64_t k) {
  MUSTER_ASSERT(k > 0 && k <= keys.size());
  const std::uint32_t threshold = threshold_of(keys, k);
  std::int64_t found = -1;
  for (std::int64_t room = k + kSpare; found < 0; room = keys.count(threshold) + kSpare) {
    const auto size = static_cast<std::size_t>(room);
    found = keys.collect(threshold, room, index_.resize(size), words_.resize(size));
  }
  kept_ = static_cast<std::size_t>(found);
  if (found > k) drop_ties(keys, threshold, k);
  MUSTER_ASSERT(kept_ == static_cast<std::size_t>(k));
}

}  // namespace muster::workloads
