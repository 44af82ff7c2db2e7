#pragma once
/// Which waiting tasks start now, and on which CPUs and GPUs. Pure: no processes, no clock.

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "core/experiment.hpp"

namespace muster {

/// What an allocation has on one host.
struct Slots {
  std::vector<int> cpus;          ///< kernel numbers
  std::vector<std::string> gpus;  ///< as CUDA_VISIBLE_DEVICES names them

  bool operator==(const Slots&) const = default;
};

/// What one task is given.
struct Assignment {
  std::vector<std::vector<int>> rank_cpus;  ///< of each rank; ranks share CPUs only where oversubscribed
  std::vector<std::string> gpus;            ///< gpus_per_rank of each rank, in rank order

  /// All CPUs, ascending, each once.
  std::vector<int> cpus() const;
  bool operator==(const Assignment&) const = default;
};

/// Places tasks on slots. First fit in queue order, with backfill: a task further back may start where one
/// before it does not fit, but a waiting task is overtaken at most kMaxOvertakes times; then nothing starts
/// before it. So every task that can fit at all starts as long as those that run end.
class Packer {
 public:
  static constexpr int kMaxOvertakes = 4;

  explicit Packer(Slots slots);

  /// Whether `needs` would fit if all slots were free; what does not must not be queued.
  bool can_fit(const Resources& needs) const;

  /// Takes the slots of all that can start now: indices into `queue` (in order) with what each is given. A
  /// task keeps its `key` from call to call: by it the packer remembers how often a waiting task was
  /// overtaken.
  struct Waiting {
    std::string key;
    Resources needs;
  };
  struct Placement {
    std::size_t index = 0;
    Assignment assignment;
  };
  std::vector<Placement> place(const std::vector<Waiting>& queue);

  /// Takes slots for a gang that runs already (adopted from an earlier launcher); CPUs and GPUs that are not
  /// among the slots, or are taken, are left alone. Returns what was taken, to be released when that gang
  /// ends.
  Assignment adopt(const std::vector<int>& cpus, const std::vector<std::string>& gpus, bool exclusive);

  void release(const Assignment& assignment, bool exclusive);

  const Slots& slots() const { return all_; }
  bool idle() const { return running_ == 0; }

 private:
  std::optional<Assignment> try_take(const Resources& needs);

  Slots all_;
  Slots free_;  ///< in the order of `all_`
  int running_ = 0;
  bool exclusively_taken_ = false;
  std::vector<std::pair<std::string, int>> overtaken_;  ///< how often each waiting task was, by key
};

}  // namespace muster
