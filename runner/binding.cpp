#include "runner/binding.hpp"

#include <algorithm>
#include <iterator>
#include <set>
#include <sstream>
#include <tuple>
#include <utility>

#include "core/cpu_list.hpp"
#include "core/nvml.hpp"
#include "core/process_identity.hpp"
#include "core/resource_values.hpp"
#include "runner/host_topology.hpp"

namespace muster {
namespace {

/// A GPU that the driver shows is known by its UUID wherever it is seen from (containers of one machine have
/// host names of their own); one that is only declared, by its name on its host.
bool is_same(const RankBinding& a, const BoundGpu& gpu_of_a, const RankBinding& b, const BoundGpu& gpu_of_b) {
  if (!gpu_of_a.uuid.empty() && !gpu_of_b.uuid.empty()) return gpu_of_a.uuid == gpu_of_b.uuid;
  return on_one_host(a, b) && gpu_of_a.name == gpu_of_b.name;
}

constexpr const char* kGpusOfTheirOwn =
    "give every rank GPUs of its own; CUDA_VISIBLE_DEVICES of the task says which it may use";

std::string text_of(const BoundGpu& gpu) {
  if (!gpu.seen) return "GPU " + gpu.name + " (declared, not seen)";
  return "GPU " + gpu.name + " (" + gpu.model + ", " + gpu.uuid + ", " + gpu.pci + ")";
}

std::string text_of(const RankBinding& rank) {
  return "rank " + std::to_string(rank.rank) + " on " + rank.host;
}

/// "ranks 0, 1 and 2 on a and b have the same ".
std::string together(const std::vector<const RankBinding*>& ranks) {
  std::string numbers, hosts;
  std::set<std::string> known;
  for (const RankBinding* rank : ranks) {
    numbers += numbers.empty() ? "ranks " : rank == ranks.back() ? " and " : ", ";
    numbers += std::to_string(rank->rank);
    if (known.insert(rank->host).second) hosts += (hosts.empty() ? "" : " and ") + rank->host;
  }
  return numbers + " on " + hosts + " have the same ";
}

Error twice(const RankBinding& rank, const BoundGpu& gpu) {
  return {ExitCode::resources, text_of(rank) + " has twice " + text_of(gpu), kGpusOfTheirOwn};
}

Error too_many(const std::vector<const RankBinding*>& ranks, const BoundGpu& gpu) {
  const int most = ranks.front()->ranks_per_gpu;
  const std::string problem = together(ranks) + text_of(gpu);
  if (most == 1) return {ExitCode::resources, problem, kGpusOfTheirOwn};
  return {ExitCode::resources, problem + ", which at most " + std::to_string(most) + " may share",
          "give the task more GPUs, or ask for a smaller share (resources.gpus_per_rank)"};
}

std::optional<Error> missing_gpu(const RankBinding& rank) {
  for (const BoundGpu& gpu : rank.gpus) {
    if (gpu.seen || rank.gpus_on_host == 0) continue;
    return Error(ExitCode::resources,
                 text_of(rank) + " was given GPU " + gpu.name + ", which is not among the " +
                     std::to_string(rank.gpus_on_host) + " that the driver shows there",
                 "`nvidia-smi -L` lists them: declare no more (--gpus), or run where there are more");
  }
  return std::nullopt;
}

/// A GPU that too many have: `first` and ranks behind it.
std::optional<Error> crowded_gpu(const std::vector<RankBinding>& ranks, const RankBinding& first) {
  for (std::size_t i = 0; i < first.gpus.size(); ++i) {
    std::vector<const RankBinding*> holders{&first};
    for (const RankBinding& other : ranks) {
      if (other.rank < first.rank) continue;
      for (std::size_t j = other.rank == first.rank ? i + 1 : 0; j < other.gpus.size(); ++j) {
        if (!is_same(first, first.gpus[i], other, other.gpus[j])) continue;
        if (other.rank == first.rank) return twice(first, first.gpus[i]);
        holders.push_back(&other);
        break;
      }
    }
    if (std::ssize(holders) > first.ranks_per_gpu) return too_many(holders, first.gpus[i]);
  }
  return std::nullopt;
}

std::optional<Error> shared_cpus(const RankBinding& a, const RankBinding& b) {
  if (a.rank == b.rank || !a.cpus_are_own || !b.cpus_are_own || !on_one_host(a, b)) return std::nullopt;
  std::vector<int> shared;
  std::ranges::set_intersection(a.cpus, b.cpus, std::back_inserter(shared));
  if (shared.empty()) return std::nullopt;
  return Error(ExitCode::resources, together({&a, &b}) + "CPUs: " + format_cpu_list(shared),
               "give every rank CPUs of its own in MUSTER_CPUS, or set resources.oversubscribe = true");
}

/// https://docs.nvidia.com/datacenter/tesla/mig-user-guide: CUDA enumerates one.
void warn_of_slices(const RankBinding& rank, std::vector<std::string>& warnings) {
  const auto is_slice = [](const BoundGpu& gpu) { return gpu.uuid.starts_with("MIG-"); };
  if (rank.gpus.size() < 2 || std::ranges::none_of(rank.gpus, is_slice)) return;
  warnings.push_back(text_of(rank) + " was given " + std::to_string(rank.gpus.size()) +
                     " GPUs, MIG slices among them: CUDA uses one slice a process");
}

void warn_of_distance(const RankBinding& rank, std::vector<std::string>& warnings) {
  for (const BoundGpu& gpu : rank.gpus) {
    if (gpu.numa_node < 0 || rank.numa_nodes.empty() ||
        std::ranges::find(rank.numa_nodes, gpu.numa_node) != rank.numa_nodes.end())
      continue;
    warnings.push_back(text_of(rank) + " computes on CPUs " + format_cpu_list(rank.cpus) + " of NUMA node " +
                       format_cpu_list(rank.numa_nodes) + ", and its " + text_of(gpu) + " is on node " +
                       std::to_string(gpu.numa_node) + ": what it copies goes from node to node");
  }
}

}  // namespace

bool on_one_host(const RankBinding& a, const RankBinding& b) {
  return a.host == b.host && a.boot_id == b.boot_id;
}

RankBinding own_binding(int rank, const DevicePlan& plan, const Resources& resources) {
  const ProcessIdentity process = own_identity();
  RankBinding own;
  own.rank = rank;
  own.host = process.host;
  own.boot_id = process.boot_id;
  own.cpus = allowed_cpus();
  own.cpus_are_own = !plan.cpus.empty() && !resources.oversubscribe;
  own.numa_nodes = numa_nodes_of(own.cpus);
  own.ranks_per_gpu = resources.ranks_per_gpu;
  own.gpu_sharing = resources.gpu_sharing;
  if (!plan.cuda_visible_devices) return own;
  const Nvml driver;
  own.gpus_on_host = static_cast<int>(driver.slots().size());
  std::istringstream names(*plan.cuda_visible_devices);
  for (std::string name; std::getline(names, name, ',');) {
    const auto found = driver.find(name);
    own.gpus.push_back(
        !found ? BoundGpu{name}
               : BoundGpu{name, true, found->name, found->uuid, found->pci, numa_node_of(found->pci)});
  }
  return own;
}

BindingVerdict judge_binding(const std::vector<RankBinding>& ranks) {
  BindingVerdict verdict;
  const auto refuse = [&](std::optional<Error> why) {
    if (!verdict.refusal) verdict.refusal = std::move(why);
  };
  for (const RankBinding& rank : ranks) refuse(missing_gpu(rank));
  for (const RankBinding& rank : ranks) refuse(crowded_gpu(ranks, rank));
  for (std::size_t a = 0; a < ranks.size(); ++a)
    for (std::size_t b = a; b < ranks.size(); ++b) refuse(shared_cpus(ranks[a], ranks[b]));
  for (const RankBinding& rank : ranks) {
    warn_of_distance(rank, verdict.warnings);
    warn_of_slices(rank, verdict.warnings);
  }
  return verdict;
}

std::string binding_summary(const std::vector<RankBinding>& ranks) {
  const auto counted = [](std::size_t number, const char* noun) {
    return std::to_string(number) + " " + noun + (number == 1 ? "" : "s");
  };
  std::set<std::pair<std::string, std::string>> hosts;
  std::set<std::tuple<std::string, std::string, int>> cpus;
  std::set<std::string> seen;
  std::set<std::tuple<std::string, std::string, std::string>> declared;
  for (const RankBinding& rank : ranks) {
    hosts.emplace(rank.host, rank.boot_id);
    for (const int cpu : rank.cpus) cpus.emplace(rank.host, rank.boot_id, cpu);
    for (const BoundGpu& gpu : rank.gpus) {
      if (gpu.seen) {
        seen.insert(gpu.uuid);
      } else {
        declared.emplace(rank.host, rank.boot_id, gpu.name);
      }
    }
  }
  std::string text = "binding: " + counted(ranks.size(), "rank") + " on " + counted(hosts.size(), "host") +
                     ", " + counted(cpus.size(), "CPU");
  if (!seen.empty()) text += ", " + counted(seen.size(), "GPU");
  if (!declared.empty()) text += ", " + counted(declared.size(), "GPU") + " declared and not seen";
  if (ranks.front().ranks_per_gpu > 1)
    text += " for up to " + std::to_string(ranks.front().ranks_per_gpu) + " ranks each (" +
            to_string(ranks.front().gpu_sharing) + ")";
  return text;
}

bool has_unseen_gpus(const std::vector<RankBinding>& ranks) {
  return std::ranges::any_of(ranks, [](const RankBinding& rank) {
    return std::ranges::any_of(rank.gpus, [](const BoundGpu& gpu) { return !gpu.seen; });
  });
}

}  // namespace muster
