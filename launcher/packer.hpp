#pragma once
/// Which waiting tasks start now, and on which CPUs and GPUs. Pure: no processes, no clock.

#include <cstddef>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/experiment.hpp"
#include "launcher/host_slots.hpp"
#include "launcher/placement.hpp"

namespace muster {

/// Places tasks on slots. First fit in queue order, with backfill: a task further back may start where one
/// before it does not fit, but a waiting task is overtaken at most kMaxOvertakes times; then nothing starts
/// before it. So every task that can fit at all starts as long as those that run end.
/// A task goes to the one host that it fills best; only where no host is large enough for it, even when all
/// is free, is it spread, over as few hosts as hold it with equally many ranks on each.
/// Ranks that share GPUs fill one after the other, so that as few as can be are in use; those of a task that
/// is spread fill whole ones on each host.
class Packer {
 public:
  static constexpr int kMaxOvertakes = 4;

  explicit Packer(std::vector<Slots> hosts);
  explicit Packer(Slots host) : Packer(std::vector<Slots>{std::move(host)}) {}

  /// Whether `needs` would fit if all slots were free; what does not must not be queued.
  bool can_fit(const Resources& needs) const;

  /// Takes the slots of all that can start now, at most `most`: indices into `queue` (in order) with what
  /// each is given. A task keeps its `key` from call to call: by it the packer remembers how often a waiting
  /// task was overtaken.
  struct Waiting {
    std::string key;
    Resources needs;
  };
  struct Placement {
    std::size_t index = 0;
    Assignment assignment;
  };
  std::vector<Placement> place(const std::vector<Waiting>& queue,
                               std::size_t most = std::numeric_limits<std::size_t>::max());

  /// Takes slots for a gang that runs already (adopted from an earlier launcher); CPUs and GPUs that are not
  /// among the slots, or are taken, are left alone. Returns what was taken, to be released when that gang
  /// ends.
  Assignment adopt(const Assignment& running, const Resources& needs);

  void release(const Assignment& assignment, bool exclusive);

  /// Nothing more goes to this host. False, and nothing changes, where one of `queue` would have no room
  /// then.
  bool exclude(const std::string& host, const std::vector<Waiting>& queue);

  const std::vector<Slots>& slots() const { return all_; }
  bool idle() const { return running_ == 0; }

 private:
  std::optional<Assignment> try_take(const Resources& needs);
  std::optional<Assignment> on_one_host(const Resources& needs);
  std::optional<Assignment> over_hosts(const Resources& needs);
  bool fits_one_host(const Resources& needs) const;

  std::vector<Slots> all_;
  std::vector<HostSlots> hosts_;  ///< as many
  int running_ = 0;
  bool exclusively_taken_ = false;
  std::map<std::string, int> overtaken_;  ///< how often each waiting task was, by key
};

}  // namespace muster
