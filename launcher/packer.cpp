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

/// How many ranks the slots hold.
int ranks_in(const Slots& slots, const Resources& needs) {
  std::size_t ranks = slots.cpus.size() / static_cast<std::size_t>(needs.cpus_per_rank);
  if (needs.gpus_per_rank > 0)
    ranks = std::min(ranks, slots.gpus.size() / static_cast<std::size_t>(needs.gpus_per_rank));
  return static_cast<int>(std::min<std::size_t>(ranks, static_cast<std::size_t>(needs.ranks)));
}

/// Where a task has more ranks than the host has CPUs they share them all.
std::size_t cpus_taken(const Resources& needs, const Slots& of_host) {
  return needs.oversubscribe ? std::min(cpus_wanted(needs), of_host.cpus.size()) : cpus_wanted(needs);
}

bool holds(const Slots& slots, const Resources& needs, const Slots& of_host) {
  return cpus_taken(needs, of_host) <= slots.cpus.size() && gpus_wanted(needs) <= slots.gpus.size();
}

/// `ranks` of the task's ranks on the CPUs and GPUs that are taken from `free`.
void take_ranks(Slots& free, int ranks, std::size_t cpus, const Resources& needs, Assignment& assignment) {
  const std::vector<int> taken = take_first(free.cpus, cpus);
  std::size_t next = 0;
  for (int rank = 0; rank < ranks; ++rank) {
    std::set<int> own;
    for (int cpu = 0; cpu < needs.cpus_per_rank; ++cpu) own.insert(taken[next++ % taken.size()]);
    assignment.ranks.push_back({free.host,
                                {own.begin(), own.end()},
                                take_first(free.gpus, static_cast<std::size_t>(needs.gpus_per_rank))});
  }
}

}  // namespace

Packer::Packer(std::vector<Slots> hosts) : all_(std::move(hosts)), free_(all_) {}

bool Packer::fits_one_host(const Resources& needs) const {
  return std::any_of(all_.begin(), all_.end(), [&](const Slots& host) { return holds(host, needs, host); });
}

bool Packer::can_fit(const Resources& needs) const {
  if (fits_one_host(needs)) return true;
  Packer empty(all_);
  return empty.over_hosts(needs).has_value();
}

std::optional<Assignment> Packer::on_one_host(const Resources& needs) {
  Slots* best = nullptr;
  const Slots* whole = nullptr;
  for (std::size_t index = 0; index < free_.size(); ++index) {
    Slots& host = free_[index];
    if (!holds(host, needs, all_[index])) continue;
    if (best != nullptr &&
        std::pair(host.gpus.size(), host.cpus.size()) >= std::pair(best->gpus.size(), best->cpus.size()))
      continue;
    best = &host;
    whole = &all_[index];
  }
  if (best == nullptr) return std::nullopt;
  Assignment assignment;
  take_ranks(*best, needs.ranks, cpus_taken(needs, *whole), needs, assignment);
  return assignment;
}

std::optional<Assignment> Packer::over_hosts(const Resources& needs) {
  for (int hosts = 2; hosts <= static_cast<int>(free_.size()); ++hosts) {
    if (needs.ranks % hosts != 0) continue;
    const int share = needs.ranks / hosts;
    std::vector<Slots*> able;
    for (Slots& host : free_) {
      if (static_cast<int>(able.size()) < hosts && ranks_in(host, needs) >= share) able.push_back(&host);
    }
    if (static_cast<int>(able.size()) < hosts) continue;
    Assignment assignment;
    for (Slots* host : able) {
      take_ranks(*host, share, static_cast<std::size_t>(share * needs.cpus_per_rank), needs, assignment);
    }
    return assignment;
  }
  return std::nullopt;
}

std::optional<Assignment> Packer::try_take(const Resources& needs) {
  if (exclusively_taken_ || (needs.exclusive && running_ > 0)) return std::nullopt;
  auto assignment = fits_one_host(needs) ? on_one_host(needs) : over_hosts(needs);
  if (!assignment) return std::nullopt;
  ++running_;
  exclusively_taken_ = needs.exclusive;
  return assignment;
}

std::vector<Packer::Placement> Packer::place(const std::vector<Waiting>& queue, std::size_t most) {
  std::vector<Placement> placements;
  std::map<std::string, int> waiting;
  bool closed = most == 0;
  for (std::size_t index = 0; index < queue.size(); ++index) {
    const Waiting& task = queue[index];
    std::optional<Assignment> assignment;
    if (!closed) assignment = try_take(task.needs);
    if (!assignment) {
      const auto before = overtaken_.find(task.key);
      const int times = before == overtaken_.end() ? 0 : before->second;
      waiting.emplace(task.key, times);
      closed = closed || times >= kMaxOvertakes;
      continue;
    }
    placements.push_back({index, *std::move(assignment)});
    for (auto& [key, times] : waiting) closed = ++times >= kMaxOvertakes || closed;
    closed = closed || placements.size() >= most;
  }
  overtaken_ = std::move(waiting);
  return placements;
}

Assignment Packer::adopt(const Assignment& running, bool exclusive) {
  Assignment taken;
  for (const RankPlace& rank : running.ranks) {
    for (Slots& host : free_) {
      if (host.host != rank.host) continue;
      taken.ranks.push_back({rank.host, take_these(host.cpus, rank.cpus), take_these(host.gpus, rank.gpus)});
    }
  }
  ++running_;
  exclusively_taken_ = exclusively_taken_ || exclusive;
  return taken;
}

bool Packer::exclude(const std::string& host, const std::vector<Waiting>& queue) {
  std::vector<Slots> left, left_free;
  for (std::size_t index = 0; index < all_.size(); ++index) {
    if (all_[index].host == host) continue;
    left.push_back(all_[index]);
    left_free.push_back(free_[index]);
  }
  const Packer without(left);
  const bool all_fit = !left.empty() && std::all_of(queue.begin(), queue.end(), [&](const Waiting& task) {
    return without.can_fit(task.needs);
  });
  if (!all_fit || left.size() == all_.size()) return false;
  all_ = std::move(left);
  free_ = std::move(left_free);
  return true;
}

void Packer::release(const Assignment& assignment, bool exclusive) {
  for (const RankPlace& rank : assignment.ranks) {
    for (std::size_t index = 0; index < all_.size(); ++index) {
      if (all_[index].host != rank.host) continue;
      free_[index].cpus = give_back(all_[index].cpus, free_[index].cpus, rank.cpus);
      free_[index].gpus = give_back(all_[index].gpus, free_[index].gpus, rank.gpus);
    }
  }
  --running_;
  if (exclusive) exclusively_taken_ = false;
}

}  // namespace muster
