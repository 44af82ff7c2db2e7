#pragma once
/// Parameters that are made of another stage's artifacts: TOML to checked structs. docs/stages.md has the
/// format.

#include <optional>
#include <string>

#include "core/experiment.hpp"
#include "core/toml_node.hpp"

namespace muster {

/// A table with `from`.
bool is_reference(const TomlNode& node);

/// A reference, or a list of them; nullopt for any other value. `name` is the parameter's, for messages.
/// Throws Error(config): an unknown key, a wrong type, a file that is not below the artifacts.
std::optional<References> read_references(const TomlNode& node, const std::string& name);

}  // namespace muster
