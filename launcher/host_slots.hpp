#pragma once
/// What of one host is given to ranks, and what is free. Pure.

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "core/experiment.hpp"
#include "launcher/placement.hpp"

namespace muster {

/// CPUs and whole GPUs are one rank's alone (CPUs are shared within an oversubscribed task). A GPU is shared
/// by ranks that asked for the same share of one in the same way, and by no more than they said.
class HostSlots {
 public:
  explicit HostSlots(Slots all);

  const std::string& host() const { return all_.host; }

  /// Whether all ranks of a task have room, now or with nothing else on this host.
  bool holds(const Resources& needs) const;
  bool could_hold(const Resources& needs) const;
  /// How many of its ranks have room now, each on CPUs of its own.
  int room_for(const Resources& needs) const;
  /// Less is better: GPUs that it would take away whole, GPUs and CPUs that are free.
  std::tuple<std::int64_t, std::size_t, std::size_t> fit(const Resources& needs) const;

  /// Gives slots to `ranks` ranks of a task; there must be room. Ranks fill GPUs one after the other, those
  /// that are shared already first, the fullest before others.
  void take(const Resources& needs, int ranks, Assignment& assignment);
  /// Takes what of a running rank's slots is here and free; returns it.
  RankPlace adopt(const Resources& needs, const RankPlace& running);
  void release(const RankPlace& rank);

 private:
  struct SharedGpu {
    std::string name;
    int most = 1;  ///< ranks
    GpuSharing sharing = GpuSharing::none;
    int taken = 0;

    bool takes(const Resources& needs) const {
      return most == needs.ranks_per_gpu && sharing == needs.gpu_sharing && taken < most;
    }
  };

  std::size_t cpus_for(const Resources& needs, int ranks) const;
  std::int64_t whole_gpus_for(const Resources& needs, int ranks) const;
  std::int64_t shares_left(const Resources& needs) const;
  std::vector<std::string> take_gpus(const Resources& needs);
  bool adopt_gpu(const Resources& needs, const std::string& gpu);

  Slots all_;
  Slots free_;  ///< in the order of `all_`; without what is shared
  std::vector<SharedGpu> shared_;
};

}  // namespace muster
