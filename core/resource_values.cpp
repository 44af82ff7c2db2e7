#include "core/resource_values.hpp"

#include <array>
#include <cmath>
#include <cstdio>
#include <string_view>
#include <utility>

#include "core/nearest_name.hpp"

namespace muster {

namespace {

/// More than any machine has; keeps products of these numbers far from overflow.
constexpr std::int64_t kMost = 1'000'000;

/// Clients that MPS takes on a GPU of Volta or later: https://docs.nvidia.com/deploy/mps.
constexpr int kMostRanksOfAGpu = 48;
/// 0.333 is a third, 0.33 is not.
constexpr double kRounding = 0.005;

constexpr std::array<std::pair<GpuSharing, const char*>, 2> kSharings{
    {{GpuSharing::time_slicing, "time-slicing"}, {GpuSharing::mps, "mps"}}};

[[noreturn]] void throw_kind(const std::string& name, const char* wanted, const Value& value,
                             const SourcePlace& place) {
  throw Error(
      ExitCode::config,
      "'resources." + name + "' must be " + wanted + ", not the " + value.kind() + " " + value.canonical(),
      "", place);
}

int count_of(const std::string& name, const Value& value, std::int64_t least, const SourcePlace& place) {
  if (!value.is_int()) throw_kind(name, "an integer", value, place);
  const std::int64_t number = value.as_int();
  if (number < least || number > kMost)
    throw Error(ExitCode::config, "'resources." + name + "' cannot be " + value.canonical(),
                "give a number from " + std::to_string(least) + " to " + std::to_string(kMost), place);
  return static_cast<int>(number);
}

/// A whole number, or 1/n.
void set_gpus(Resources& resources, const Value& value, const SourcePlace& place) {
  const std::string name = "gpus_per_rank";
  if (!value.is_int() && !value.is_float()) throw_kind(name, "a number", value, place);
  const double number = value.as_float();
  resources.ranks_per_gpu = 1;
  if (number == std::floor(number)) {
    const bool fits = number >= 0 && number <= static_cast<double>(kMost);
    resources.gpus_per_rank =
        count_of(name, fits ? Value(static_cast<std::int64_t>(number)) : value, 0, place);
    return;
  }
  const double ranks = std::round(1 / number);
  if (!(number > 0) || ranks < 2 || ranks > kMostRanksOfAGpu || std::abs(number * ranks - 1) > kRounding)
    throw Error(
        ExitCode::config, "'resources." + name + "' cannot be " + value.canonical(),
        "ranks have whole GPUs, or one GPU for n of them, as 1/n: 0.5, 0.333, 0.25, 0.2, ... down to " +
            Value(1.0 / kMostRanksOfAGpu).canonical().substr(0, 6),
        place);
  resources.gpus_per_rank = 1;
  resources.ranks_per_gpu = static_cast<int>(ranks);
}

GpuSharing sharing_of(const Value& value, const SourcePlace& place) {
  if (!value.is_string()) throw_kind("gpu_sharing", "a string", value, place);
  const GpuSharing sharing = gpu_sharing_of(value.as_string());
  if (sharing != GpuSharing::none) return sharing;
  std::vector<std::string> known;
  for (const auto& [each, name] : kSharings) known.emplace_back(name);
  throw Error(ExitCode::config, "'resources.gpu_sharing' cannot be " + value.canonical(),
              name_advice(value.as_string(), known), place);
}

std::string amount(std::int64_t ranks, const Resources& resources) {
  if (!resources.shares_gpus()) return std::to_string(ranks * resources.gpus_per_rank);
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.3g", static_cast<double>(ranks) / resources.ranks_per_gpu);
  return text.data();
}

bool flag_of(const std::string& name, const Value& value, const SourcePlace& place) {
  if (!value.is_bool()) throw_kind(name, "a boolean", value, place);
  return value.as_bool();
}

}  // namespace

std::optional<std::string> resource_name_of(const std::string& axis_key) {
  const std::string_view prefix(kResourcePrefix);
  if (!axis_key.starts_with(prefix)) return std::nullopt;
  return axis_key.substr(prefix.size());
}

const std::vector<std::string>& resource_names() {
  static const std::vector<std::string> names{"ranks",       "cpus_per_rank", "gpus_per_rank",
                                              "gpu_sharing", "oversubscribe", "exclusive"};
  return names;
}

void set_resource(Resources& resources, const std::string& name, const Value& value,
                  const SourcePlace& place) {
  if (name == "ranks") {
    resources.ranks = count_of(name, value, 1, place);
  } else if (name == "cpus_per_rank") {
    resources.cpus_per_rank = count_of(name, value, 1, place);
  } else if (name == "gpus_per_rank") {
    set_gpus(resources, value, place);
  } else if (name == "gpu_sharing") {
    resources.gpu_sharing = sharing_of(value, place);
  } else if (name == "oversubscribe") {
    resources.oversubscribe = flag_of(name, value, place);
  } else if (name == "exclusive") {
    resources.exclusive = flag_of(name, value, place);
  } else {
    throw Error(ExitCode::config, "unknown resource '" + name + "'", name_advice(name, resource_names()),
                place);
  }
}

void settle_gpu_sharing(Resources& resources, const SourcePlace& place) {
  if (!resources.shares_gpus()) {
    resources.gpu_sharing = GpuSharing::none;
  } else if (resources.gpu_sharing == GpuSharing::none) {
    throw Error(ExitCode::config,
                "'resources.gpus_per_rank' is " + amount(1, resources) + ", so " +
                    std::to_string(resources.ranks_per_gpu) +
                    " ranks share a GPU, and 'gpu_sharing' does not say how",
                "set gpu_sharing = \"time-slicing\" (they take turns) or \"mps\" (they compute side by side) "
                "under [resources]",
                place);
  }
}

Parameters resource_values(const Resources& resources) {
  Parameters values{{"ranks", resources.ranks},
                    {"cpus_per_rank", resources.cpus_per_rank},
                    {"gpus_per_rank", resources.gpus_per_rank},
                    {"oversubscribe", resources.oversubscribe},
                    {"exclusive", resources.exclusive}};
  if (resources.shares_gpus()) {
    values["gpus_per_rank"] = 1.0 / resources.ranks_per_gpu;
    values["gpu_sharing"] = to_string(resources.gpu_sharing);
  }
  return values;
}

std::string to_string(GpuSharing sharing) {
  for (const auto& [known, name] : kSharings) {
    if (known == sharing) return name;
  }
  return "none";
}

GpuSharing gpu_sharing_of(std::string_view word) {
  for (const auto& [sharing, name] : kSharings) {
    if (word == name) return sharing;
  }
  return GpuSharing::none;
}

std::string gpu_amount(const Resources& resources) { return amount(resources.ranks, resources); }

std::string gpus_of_a_rank(const Resources& resources) {
  const std::string number = amount(1, resources);
  return number + (number == "1" ? " GPU" : " GPUs");
}

}  // namespace muster
