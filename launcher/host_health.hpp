#pragma once
/// Which hosts of an allocation lose tasks that others finish. Pure.

#include <map>
#include <set>
#include <string>

namespace muster {

class HostHealth {
 public:
  /// An attempt on this host was lost (killed, vanished, its node gone). True once two different tasks were
  /// lost there and none has ended well since: one task that always dies says nothing of its host.
  bool lost(const std::string& host, const std::string& task) {
    lost_[host].insert(task);
    return lost_[host].size() >= 2;
  }
  void ended_well(const std::string& host) { lost_.erase(host); }

 private:
  std::map<std::string, std::set<std::string>> lost_;
};

}  // namespace muster
