#include "launcher/packer.hpp"

#include <algorithm>
#include <set>

namespace muster {

namespace {

/// The first `number` of `from`, removed from it.
template <typename T>
std::vector<T> take_first(std::vector<T>& from, std::size_t number) {
  const auto end = from.begin() + static_cast<std::ptrdiff_t>(number);
  std::vector<T> taken(from.begin(), end);
  from.erase(from.begin(), end);
  return taken;
}

/// Removes `wanted` from `from`; returns those that were there.
template <typename T>
std::vector<T> take_these(std::vector<T>& from, const std::vector<T>& wanted) {
  std::vector<T> taken;
  for (const T& item : wanted) {
    const auto place = std::find(from.begin(), from.end(), item);
    if (place == from.end()) continue;
    taken.push_back(item);
    from.erase(place);
  }
  return taken;
}

/// Those of `all` that are in `free` or in `back`, in the order of `all`.
template <typename T>
std::vector<T> give_back(const std::vector<T>& all, const std::vector<T>& free, const std::vector<T>& back) {
  std::set<T> present(free.begin(), free.end());
  present.insert(back.begin(), back.end());
  std::vector<T> result;
  std::copy_if(all.begin(), all.end(), std::back_inserter(result),
               [&](const T& item) { return present.contains(item); });
  return result;
}

std::size_t cpus_wanted(const Resources& needs) {
  return static_cast<std::size_t>(needs.ranks) * static_cast<std::size_t>(needs.cpus_per_rank);
}

std::size_t gpus_wanted(const Resources& needs) {
  return static_cast<std::size_t>(needs.ranks) * static_cast<std::size_t>(needs.gpus_per_rank);
}

}  // namespace

std::vector<int> Assignment::cpus() const {
  std::set<int> all;
  for (const auto& cpus : rank_cpus) all.insert(cpus.begin(), cpus.end());
  return {all.begin(), all.end()};
}

Packer::Packer(Slots slots) : all_(std::move(slots)), free_(all_) {}

bool Packer::can_fit(const Resources& needs) const {
  return (cpus_wanted(needs) <= all_.cpus.size() || needs.oversubscribe) &&
         gpus_wanted(needs) <= all_.gpus.size();
}

std::optional<Assignment> Packer::try_take(const Resources& needs) {
  if (exclusively_taken_ || (needs.exclusive && running_ > 0)) return std::nullopt;
  const std::size_t gpus = gpus_wanted(needs);
  // A task with more ranks than CPUs gets them all to itself: only its own ranks share.
  const std::size_t cpus = std::min(cpus_wanted(needs), all_.cpus.size());
  if (gpus > free_.gpus.size() || cpus > free_.cpus.size()) return std::nullopt;

  Assignment assignment;
  assignment.gpus = take_first(free_.gpus, gpus);
  const std::vector<int> taken = take_first(free_.cpus, cpus);
  std::size_t next = 0;
  for (int rank = 0; rank < needs.ranks; ++rank) {
    std::set<int> own;
    for (int cpu = 0; cpu < needs.cpus_per_rank; ++cpu) own.insert(taken[next++ % taken.size()]);
    assignment.rank_cpus.emplace_back(own.begin(), own.end());
  }
  ++running_;
  exclusively_taken_ = needs.exclusive;
  return assignment;
}

std::vector<Packer::Placement> Packer::place(const std::vector<Waiting>& queue) {
  std::vector<Placement> placements;
  std::vector<std::pair<std::string, int>> waiting;
  const auto overtaken_before = [this](const std::string& key) {
    const auto known = std::find_if(overtaken_.begin(), overtaken_.end(),
                                    [&](const auto& item) { return item.first == key; });
    return known == overtaken_.end() ? 0 : known->second;
  };
  bool closed = false;
  for (std::size_t index = 0; index < queue.size(); ++index) {
    const Waiting& task = queue[index];
    std::optional<Assignment> assignment;
    if (!closed) assignment = try_take(task.needs);
    if (!assignment) {
      waiting.emplace_back(task.key, overtaken_before(task.key));
    } else {
      placements.push_back({index, *std::move(assignment)});
      for (auto& [key, times] : waiting) ++times;
    }
    closed = std::any_of(waiting.begin(), waiting.end(),
                         [](const auto& item) { return item.second >= kMaxOvertakes; });
  }
  overtaken_ = std::move(waiting);
  return placements;
}

Assignment Packer::adopt(const std::vector<int>& cpus, const std::vector<std::string>& gpus, bool exclusive) {
  Assignment assignment;
  assignment.rank_cpus = {take_these(free_.cpus, cpus)};
  assignment.gpus = take_these(free_.gpus, gpus);
  ++running_;
  exclusively_taken_ = exclusively_taken_ || exclusive;
  return assignment;
}

void Packer::release(const Assignment& assignment, bool exclusive) {
  free_.cpus = give_back(all_.cpus, free_.cpus, assignment.cpus());
  free_.gpus = give_back(all_.gpus, free_.gpus, assignment.gpus);
  --running_;
  if (exclusive) exclusively_taken_ = false;
}

}  // namespace muster
