#pragma once
/// Resources of a task by name: as `[resources]` gives them, and as a matrix axis `resources.NAME` does.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.hpp"
#include "core/experiment.hpp"
#include "core/value.hpp"

namespace muster {

/// The start of an axis' key that names a resource.
inline constexpr const char* kResourcePrefix = "resources.";

/// The name after the prefix; nullopt for a parameter's key.
std::optional<std::string> resource_name_of(const std::string& axis_key);

/// Every name that there is.
const std::vector<std::string>& resource_names();

/// Throws Error(config): unknown name, wrong type, or a number that cannot be. `gpus_per_rank` may be 1/n.
void set_resource(Resources& resources, const std::string& name, const Value& value,
                  const SourcePlace& place);

/// Once every resource is set: throws Error(config) where ranks are to share GPUs and nobody says how, and
/// forgets how where they share none. `place`: of gpus_per_rank.
void settle_gpu_sharing(Resources& resources, const SourcePlace& place);

/// What set_resource takes, by name; `gpu_sharing` only where GPUs are shared.
Parameters resource_values(const Resources& resources);

/// "time-slicing", and back; other words are none.
std::string to_string(GpuSharing sharing);
GpuSharing gpu_sharing_of(std::string_view word);

/// GPUs of all ranks together, for people: "4", "1.5", "0.333".
std::string gpu_amount(const Resources& resources);
/// "1 GPU", "0 GPUs", "0.5 GPUs".
std::string gpus_of_a_rank(const Resources& resources);

}  // namespace muster
