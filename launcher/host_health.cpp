#include "launcher/host_health.hpp"

namespace muster {

namespace {

constexpr int kBySignal = 128;
constexpr double kRememberedSeconds = 24 * 3600;

}  // namespace

bool HostHealth::lost(const std::string& host, const std::string& task) {
  lost_[host].insert(task);
  return lost_[host].size() >= 2;
}

void HostHealth::ended_well(const std::string& host) { lost_.erase(host); }

std::optional<std::string> HostHealth::host_to_give_up(const std::string& task, const AttemptView& view,
                                                       const Verdict& verdict) {
  if (!view.order) return std::nullopt;
  const std::vector<std::string> hosts = Assignment{view.order->ranks}.hosts();
  if (verdict.ending == Ending::done) {
    for (const std::string& host : hosts) ended_well(host);
  }
  const bool was_lost = verdict.ending == Ending::failed && !verdict.never_started &&
                        (!view.exit || view.exit->lost_ranks || verdict.exit_code > kBySignal);
  if (!was_lost || hosts.size() != 1 || !lost(hosts.front(), task)) return std::nullopt;
  return hosts.front();
}

std::set<std::string> hosts_given_up(const std::vector<JournalEntry>& entries, double now) {
  std::set<std::string> hosts;
  for (const JournalEntry& entry : entries) {
    if (!entry.host.empty() && now - entry.unix_time < kRememberedSeconds) hosts.insert(entry.host);
  }
  return hosts;
}

}  // namespace muster
