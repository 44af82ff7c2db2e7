#include "workloads/common/data/split.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>

#include "core/error.hpp"
#include "workloads/common/counter_random.hpp"

namespace muster::workloads {
namespace {

using Indices = std::vector<std::int64_t>;
using ByClass = std::vector<Indices>;

std::int64_t size_of(const ByClass& classes) {
  std::int64_t size = 0;
  for (const Indices& each : classes) size += std::ssize(each);
  return size;
}

/// Each class's images in an order that depends on the seed and the class alone.
ByClass shuffled_classes(std::span<const std::int64_t> labels, std::int64_t classes, std::uint64_t seed) {
  ByClass result(static_cast<std::size_t>(classes));
  for (std::size_t i = 0; i < labels.size(); ++i)
    result[static_cast<std::size_t>(labels[i])].push_back(static_cast<std::int64_t>(i));
  const CounterRandom random(seed, RandomStream::split);
  for (std::size_t c = 0; c < result.size(); ++c) {
    for (std::size_t i = result[c].size(); i > 1; --i) {
      const auto bits = random.draw(static_cast<std::uint32_t>(c), static_cast<std::uint32_t>(i))[0];
      std::swap(result[c][i - 1], result[c][below(bits, static_cast<std::uint32_t>(i))]);
    }
  }
  return result;
}

/// Takes `count` of the images, of each class its share by largest remainders, the lower class first where
/// they are equal.
ByClass take(ByClass& from, std::int64_t count) {
  const std::int64_t total = size_of(from);
  Indices counts;
  std::vector<std::pair<std::int64_t, std::size_t>> remainders;
  for (std::size_t c = 0; c < from.size(); ++c) {
    const std::int64_t share = std::ssize(from[c]) * count;
    counts.push_back(share / total);
    remainders.emplace_back(-(share % total), c);
  }
  std::sort(remainders.begin(), remainders.end());
  const std::int64_t left = count - std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  for (std::int64_t i = 0; i < left; ++i) ++counts[remainders[static_cast<std::size_t>(i)].second];
  ByClass taken(from.size());
  for (std::size_t c = 0; c < from.size(); ++c) {
    const auto end = from[c].begin() + counts[c];
    taken[c].assign(from[c].begin(), end);
    from[c].erase(from[c].begin(), end);
  }
  return taken;
}

Indices joined(const ByClass& classes) {
  Indices all;
  for (const Indices& each : classes) all.insert(all.end(), each.begin(), each.end());
  return all;
}

Indices rising(Indices indices) {
  std::sort(indices.begin(), indices.end());
  return indices;
}

std::int64_t share_of(std::int64_t count, double share) {
  return std::llround(static_cast<double>(count) * share);
}

/// Moves the listed images out of `from`.
ByClass take_listed(ByClass& from, const Indices& listed) {
  const Indices sorted = rising(listed);
  ByClass taken(from.size());
  for (std::size_t c = 0; c < from.size(); ++c) {
    const auto stays = std::stable_partition(from[c].begin(), from[c].end(), [&](std::int64_t image) {
      return !std::binary_search(sorted.begin(), sorted.end(), image);
    });
    taken[c].assign(stays, from[c].end());
    from[c].erase(stays, from[c].end());
  }
  return taken;
}

void require_images(const Indices& part, const std::string& name) {
  if (!part.empty()) return;
  throw Error(ExitCode::config, "the split leaves no image for " + name,
              "use more images, or other shares; the counts are shares of what there is");
}

void refuse_overlap(const Indices& a, const std::string& a_name, const Indices& b, const std::string& b_name,
                    const std::string& origin) {
  Indices common;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(common));
  if (common.empty()) return;
  throw Error(ExitCode::data,
              origin + ": " + std::to_string(common.size()) + " images are both in " + a_name + " and in " +
                  b_name + ", image " + std::to_string(common.front()) +
                  " the first (what is trained on must not choose or judge)",
              "make the split anew with the split workload");
}

}  // namespace

Split make_split(std::span<const std::int64_t> labels, std::int64_t classes, const SplitOptions& options,
                 const std::optional<Indices>& holdout) {
  MUSTER_ASSERT(options.experts > 0);
  ByClass pool = shuffled_classes(labels, classes, options.seed);
  ByClass held = holdout ? take_listed(pool, *holdout) : take(pool, share_of(size_of(pool), options.holdout));
  Split split;
  split.holdout = rising(joined(held));
  require_images(split.holdout, "the hold-out");
  split.validation = rising(joined(take(held, share_of(size_of(held), options.validation))));
  split.fusion_train = rising(joined(held));
  require_images(split.validation, "validation");
  require_images(split.fusion_train, "training the fusion");

  const std::int64_t outside = size_of(pool);
  if (outside > 0) {
    const Indices shared = joined(take(pool, share_of(outside, options.shared)));
    split.experts.assign(static_cast<std::size_t>(options.experts), shared);
  } else {
    split.experts.resize(static_cast<std::size_t>(options.experts));
  }
  // Dealt one by one, class after class: each expert's own part has every class to within one image.
  const Indices rest = joined(pool);
  for (std::size_t i = 0; i < rest.size(); ++i) split.experts[i % split.experts.size()].push_back(rest[i]);
  for (std::size_t i = 0; i < split.experts.size(); ++i) {
    require_images(split.experts[i], "expert " + std::to_string(i));
    split.experts[i] = rising(std::move(split.experts[i]));
  }
  return split;
}

void check_split(const Split& split, const std::string& origin) {
  const Indices holdout = rising(split.holdout);
  const Indices train = rising(split.fusion_train);
  const Indices validation = rising(split.validation);
  for (std::size_t i = 0; i < split.experts.size(); ++i) {
    const Indices expert = rising(split.experts[i]);
    const std::string name = "expert " + std::to_string(i) + "'s part";
    refuse_overlap(expert, name, validation, "validation", origin);
    refuse_overlap(expert, name, holdout, "the hold-out", origin);
  }
  refuse_overlap(train, "what the fusion trains on", validation, "validation", origin);
  Indices both;
  std::merge(train.begin(), train.end(), validation.begin(), validation.end(), std::back_inserter(both));
  if (both == holdout) return;
  throw Error(ExitCode::data,
              origin + ": what the fusion trains on and validation are " + std::to_string(both.size()) +
                  " images, but not the " + std::to_string(holdout.size()) + " of the hold-out",
              "make the split anew with the split workload");
}

}  // namespace muster::workloads
