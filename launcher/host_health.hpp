#pragma once
/// Which hosts of an allocation lose tasks that others finish. Pure.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/journal.hpp"
#include "launcher/attempt_ledger.hpp"
#include "launcher/verdict.hpp"

namespace muster {

class HostHealth {
 public:
  /// An attempt on this host was lost (killed, vanished, its node gone). True once two different tasks were
  /// lost there and none has ended well since: one task that always dies says nothing of its host.
  bool lost(const std::string& host, const std::string& task);
  void ended_well(const std::string& host);

  /// After the end of an attempt of the task. Of several hosts nobody knows which it was that lost it.
  std::optional<std::string> host_to_give_up(const std::string& task, const AttemptView& view,
                                             const Verdict& verdict);

 private:
  std::map<std::string, std::set<std::string>> lost_;
};

/// Hosts that a launcher of the run gave up within the last day before `now`, unix seconds. By then somebody
/// may have mended them.
std::set<std::string> hosts_given_up(const std::vector<JournalEntry>& entries, double now);

}  // namespace muster
