#include "runner/device_plan.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "core/cpu_list.hpp"
#include "core/error.hpp"

namespace muster {
namespace {

std::vector<std::string_view> fields(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::vector<int> cpu_list(std::string_view text, std::string_view whole) {
  std::vector<int> cpus;
  try {
    cpus = parse_cpu_list(text);
  } catch (const Error&) {
    cpus.clear();
  }
  if (cpus.empty() || *std::ranges::max_element(cpus) >= CPU_SETSIZE)
    throw Error(ExitCode::resources, "MUSTER_CPUS is '" + std::string(whole) + "', which is no list of CPUs",
                "write it like '0-1,4;2-3', a list for each rank");
  return cpus;
}

/// Of lists separated by ';', one a rank.
std::string_view list_of(std::size_t own, const char* variable, std::string_view all) {
  const auto lists = fields(all, ';');
  if (own >= lists.size())
    throw Error(ExitCode::resources,
                std::string(variable) + " has " + std::to_string(lists.size()) + " lists and none for rank " +
                    std::to_string(own) + " of this host",
                "give a list for each rank, separated by ';'");
  return lists[own];
}

/// This rank's part of the GPUs of its task on this host.
std::string gpus_of_task(const Resources& resources, std::size_t own, std::string_view all) {
  const auto gpus = all.empty() ? std::vector<std::string_view>{} : fields(all, ',');
  const auto per_rank = static_cast<std::size_t>(resources.gpus_per_rank);
  const std::size_t first = own / static_cast<std::size_t>(resources.ranks_per_gpu) * per_rank;
  if (gpus.size() < first + per_rank)
    throw Error(ExitCode::resources,
                "rank " + std::to_string(own) + " of this host needs " +
                    (per_rank == 1
                         ? "GPU " + std::to_string(first)
                         : "GPUs " + std::to_string(first) + " to " + std::to_string(first + per_rank - 1)) +
                    " of its task, and CUDA_VISIBLE_DEVICES names " + std::to_string(gpus.size()),
                "lower resources.ranks or resources.gpus_per_rank, or run where there are more GPUs");
  std::string visible;
  for (std::size_t i = first; i < first + per_rank; ++i)
    visible += (visible.empty() ? "" : ",") + std::string(gpus[i]);
  return visible;
}

}  // namespace

LaunchPlace launch_place() {
  for (const char* name :
       {"OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "PMI_LOCAL_RANK", "SLURM_LOCALID"})
    if (const char* value = std::getenv(name); value != nullptr && *value != '\0') return {std::atoi(value)};
  return {};
}

GivenDevices given_devices() {
  return {std::getenv("MUSTER_CPUS"), std::getenv("MUSTER_GPUS"), std::getenv("CUDA_VISIBLE_DEVICES")};
}

DevicePlan plan_device(const Resources& resources, int host_rank, const GivenDevices& given) {
  DevicePlan plan;
  plan.device.threads = resources.cpus_per_rank;
  const auto own = static_cast<std::size_t>(host_rank);
  if (given.cpu_lists != nullptr && *given.cpu_lists != '\0') {
    plan.cpus = cpu_list(list_of(own, "MUSTER_CPUS", given.cpu_lists), given.cpu_lists);
    plan.device.threads = static_cast<int>(plan.cpus.size());
  }
  if (resources.gpus_per_rank == 0) return plan;
  plan.cuda_visible_devices =
      resources.shares_gpus() && given.gpu_lists != nullptr && *given.gpu_lists != '\0'
          ? std::string(list_of(own, "MUSTER_GPUS", given.gpu_lists))
          : gpus_of_task(resources, own, given.cuda_devices != nullptr ? given.cuda_devices : "");
  plan.device.kind = Device::Kind::cuda;
  plan.device.index = 0;
  return plan;
}

void apply(const DevicePlan& plan) {
  if (!plan.cpus.empty()) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const int cpu : plan.cpus) CPU_SET(static_cast<std::size_t>(cpu), &set);
    cpu_set_t now;
    if (sched_setaffinity(0, sizeof set, &set) != 0 || sched_getaffinity(0, sizeof now, &now) != 0 ||
        CPU_EQUAL(&set, &now) == 0)
      throw Error(ExitCode::resources, "this rank cannot be bound to the CPUs it was given",
                  "check that MUSTER_CPUS names CPUs of this job's own set");
  }
  if (!plan.cuda_visible_devices) return;
  setenv("CUDA_VISIBLE_DEVICES", plan.cuda_visible_devices->c_str(), 1);
  // CUDA would otherwise count the fastest first, and the driver's own list counts so.
  setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID", 1);
}

}  // namespace muster
