#pragma once
/// Resources of a task by name: as `[resources]` gives them, and as a matrix axis `resources.NAME` does.

#include <optional>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/experiment.hpp"
#include "core/value.hpp"

namespace muster {

/// The start of an axis' key that names a resource.
inline constexpr const char* kResourcePrefix = "resources.";

/// The name after the prefix; nullopt for a parameter's key.
std::optional<std::string> resource_name_of(const std::string& axis_key);

/// Throws Error(config): unknown name, wrong type, or a number that cannot be.
void set_resource(Resources& resources, const std::string& name, const Value& value,
                  const SourcePlace& place);

}  // namespace muster
