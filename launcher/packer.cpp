#include "launcher/packer.hpp"

#include <algorithm>

namespace muster {

Packer::Packer(std::vector<Slots> hosts) : all_(std::move(hosts)), hosts_(all_.begin(), all_.end()) {}

bool Packer::fits_one_host(const Resources& needs) const {
  return std::any_of(hosts_.begin(), hosts_.end(),
                     [&](const HostSlots& host) { return host.could_hold(needs); });
}

bool Packer::can_fit(const Resources& needs) const {
  if (fits_one_host(needs)) return true;
  Packer empty(all_);
  return empty.over_hosts(needs).has_value();
}

std::optional<Assignment> Packer::on_one_host(const Resources& needs) {
  HostSlots* best = nullptr;
  for (HostSlots& host : hosts_) {
    if (host.holds(needs) && (best == nullptr || host.fit(needs) < best->fit(needs))) best = &host;
  }
  if (best == nullptr) return std::nullopt;
  Assignment assignment;
  best->take(needs, needs.ranks, assignment);
  return assignment;
}

std::optional<Assignment> Packer::over_hosts(const Resources& needs) {
  for (int hosts = 2; hosts <= static_cast<int>(hosts_.size()); ++hosts) {
    if (needs.ranks % hosts != 0) continue;
    const int share = needs.ranks / hosts;
    if (share % needs.ranks_per_gpu != 0) continue;
    std::vector<HostSlots*> able;
    for (HostSlots& host : hosts_) {
      if (static_cast<int>(able.size()) < hosts && host.room_for(needs) >= share) able.push_back(&host);
    }
    if (static_cast<int>(able.size()) < hosts) continue;
    Assignment assignment;
    for (HostSlots* host : able) host->take(needs, share, assignment);
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

Assignment Packer::adopt(const Assignment& running, const Resources& needs) {
  Assignment taken;
  for (const RankPlace& rank : running.ranks) {
    for (HostSlots& host : hosts_) {
      if (host.host() == rank.host) taken.ranks.push_back(host.adopt(needs, rank));
    }
  }
  ++running_;
  exclusively_taken_ = exclusively_taken_ || needs.exclusive;
  return taken;
}

bool Packer::exclude(const std::string& host, const std::vector<Waiting>& queue) {
  std::vector<Slots> left;
  std::vector<HostSlots> left_hosts;
  for (std::size_t index = 0; index < all_.size(); ++index) {
    if (all_[index].host == host) continue;
    left.push_back(all_[index]);
    left_hosts.push_back(hosts_[index]);
  }
  const Packer without(left);
  const bool all_fit = !left.empty() && std::all_of(queue.begin(), queue.end(), [&](const Waiting& task) {
    return without.can_fit(task.needs);
  });
  if (!all_fit || left.size() == all_.size()) return false;
  all_ = std::move(left);
  hosts_ = std::move(left_hosts);
  return true;
}

void Packer::release(const Assignment& assignment, bool exclusive) {
  for (const RankPlace& rank : assignment.ranks) {
    for (HostSlots& host : hosts_) {
      if (host.host() == rank.host) host.release(rank);
    }
  }
  --running_;
  if (exclusive) exclusively_taken_ = false;
}

}  // namespace muster
