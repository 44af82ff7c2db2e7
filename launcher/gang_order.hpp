#pragma once
/// gang.json: what the launcher asks a shim to start. docs/gangs.md describes the protocol.

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/process_identity.hpp"
#include "launcher/placement.hpp"

namespace muster {

struct GangOrder {
  std::vector<std::string> argv;                   ///< started without a shell; argv[0] is looked up in PATH
  std::map<std::string, std::string> environment;  ///< added to the launcher's
  std::vector<std::string> unset;                  ///< variables of the launcher's that the gang must not see
  std::vector<int> cpus;                           ///< the gang is bound to them; empty: not bound
  std::vector<RankPlace> ranks;                    ///< what the packer gave to each
  bool ranks_report = false;                       ///< each rank runs below run_rank and leaves its rank-R
  std::filesystem::path claim;                     ///< the shim makes it before anything else
  std::filesystem::path working_folder;            ///< of the gang; empty: the shim's
  double kill_after_seconds = 2;  ///< from SIGTERM to SIGKILL, when the shim is told to end the gang
  ProcessIdentity launcher;       ///< who gave the order
};

/// "2 ranks on CPUs 0-3, GPUs 0,1"; under Slurm "4 ranks on n1, n2 with 4 GPUs".
std::string placement_text(const GangOrder& order);

std::string gang_order_to_json(const GangOrder& order);

/// Throws Error(storage) where the file is missing or damaged.
GangOrder read_gang_order(const std::filesystem::path& file);

}  // namespace muster
