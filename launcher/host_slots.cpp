#include "launcher/host_slots.hpp"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

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

/// Removes `wanted` from `from`; whether it was there.
template <typename T>
bool take_one(std::vector<T>& from, const T& wanted) {
  const auto place = std::find(from.begin(), from.end(), wanted);
  if (place == from.end()) return false;
  from.erase(place);
  return true;
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

}  // namespace

HostSlots::HostSlots(Slots all) : all_(std::move(all)), free_(all_) {}

/// Where a task has more ranks than the host has CPUs they share them all.
std::size_t HostSlots::cpus_for(const Resources& needs, int ranks) const {
  const auto wanted = static_cast<std::size_t>(ranks) * static_cast<std::size_t>(needs.cpus_per_rank);
  return needs.oversubscribe ? std::min(wanted, all_.cpus.size()) : wanted;
}

std::int64_t HostSlots::shares_left(const Resources& needs) const {
  std::int64_t left = 0;
  for (const SharedGpu& gpu : shared_) {
    if (gpu.takes(needs)) left += gpu.most - gpu.taken;
  }
  return left;
}

std::int64_t HostSlots::whole_gpus_for(const Resources& needs, int ranks) const {
  if (!needs.shares_gpus()) return needs.gpus_of(ranks);
  return needs.gpus_of(std::max<std::int64_t>(0, ranks - shares_left(needs)));
}

bool HostSlots::holds(const Resources& needs) const {
  return cpus_for(needs, needs.ranks) <= free_.cpus.size() &&
         whole_gpus_for(needs, needs.ranks) <= std::ssize(free_.gpus);
}

bool HostSlots::could_hold(const Resources& needs) const {
  return cpus_for(needs, needs.ranks) <= all_.cpus.size() &&
         needs.gpus_of(needs.ranks) <= std::ssize(all_.gpus);
}

int HostSlots::room_for(const Resources& needs) const {
  std::int64_t ranks = std::ssize(free_.cpus) / needs.cpus_per_rank;
  if (needs.shares_gpus()) {
    ranks = std::min(ranks, shares_left(needs) + std::ssize(free_.gpus) * needs.ranks_per_gpu);
  } else if (needs.gpus_per_rank > 0) {
    ranks = std::min<std::int64_t>(ranks, std::ssize(free_.gpus) / needs.gpus_per_rank);
  }
  return static_cast<int>(std::min<std::int64_t>(ranks, needs.ranks));
}

std::tuple<std::int64_t, std::size_t, std::size_t> HostSlots::fit(const Resources& needs) const {
  return {whole_gpus_for(needs, needs.ranks), free_.gpus.size(), free_.cpus.size()};
}

void HostSlots::take(const Resources& needs, int ranks, Assignment& assignment) {
  const std::vector<int> taken = take_first(free_.cpus, cpus_for(needs, ranks));
  std::size_t next = 0;
  for (int rank = 0; rank < ranks; ++rank) {
    std::set<int> own;
    for (int cpu = 0; cpu < needs.cpus_per_rank; ++cpu) own.insert(taken[next++ % taken.size()]);
    assignment.ranks.push_back({all_.host, {own.begin(), own.end()}, take_gpus(needs)});
  }
}

std::vector<std::string> HostSlots::take_gpus(const Resources& needs) {
  if (!needs.shares_gpus()) return take_first(free_.gpus, static_cast<std::size_t>(needs.gpus_per_rank));
  SharedGpu* fullest = nullptr;
  for (SharedGpu& gpu : shared_) {
    if (gpu.takes(needs) && (fullest == nullptr || gpu.taken > fullest->taken)) fullest = &gpu;
  }
  if (fullest != nullptr) {
    ++fullest->taken;
    return {fullest->name};
  }
  const std::vector<std::string> fresh = take_first(free_.gpus, 1);
  shared_.push_back({fresh.front(), needs.ranks_per_gpu, needs.gpu_sharing, 1});
  return fresh;
}

RankPlace HostSlots::adopt(const Resources& needs, const RankPlace& running) {
  RankPlace taken{running.host, {}, {}};
  for (const int cpu : running.cpus) {
    if (take_one(free_.cpus, cpu)) taken.cpus.push_back(cpu);
  }
  for (const std::string& gpu : running.gpus) {
    if (adopt_gpu(needs, gpu)) taken.gpus.push_back(gpu);
  }
  return taken;
}

bool HostSlots::adopt_gpu(const Resources& needs, const std::string& gpu) {
  const auto known = std::find_if(shared_.begin(), shared_.end(),
                                  [&](const SharedGpu& shared) { return shared.name == gpu; });
  if (known != shared_.end()) {
    if (!known->takes(needs)) return false;
    ++known->taken;
    return true;
  }
  if (!take_one(free_.gpus, gpu)) return false;
  if (needs.shares_gpus()) shared_.push_back({gpu, needs.ranks_per_gpu, needs.gpu_sharing, 1});
  return true;
}

void HostSlots::release(const RankPlace& rank) {
  free_.cpus = give_back(all_.cpus, free_.cpus, rank.cpus);
  std::vector<std::string> whole;
  for (const std::string& gpu : rank.gpus) {
    const auto shared = std::find_if(shared_.begin(), shared_.end(),
                                     [&](const SharedGpu& known) { return known.name == gpu; });
    if (shared == shared_.end()) {
      whole.push_back(gpu);
    } else if (--shared->taken == 0) {
      shared_.erase(shared);
      whole.push_back(gpu);
    }
  }
  free_.gpus = give_back(all_.gpus, free_.gpus, whole);
}

}  // namespace muster
