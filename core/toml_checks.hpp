#pragma once
/// What every reader of a TOML table checks, with one wording.

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/toml_node.hpp"

namespace muster {

/// Places by dotted name from the root of the file.
using Places = std::map<std::string, SourcePlace>;

/// The member, or nullptr.
const TomlNode* find_member(const TomlNode& table, const std::string& key);

/// Throws Error(config) for the first key that is not among `known`. `where`: "[resources]", "the
/// experiment".
void check_keys(const TomlNode& table, const std::vector<std::string>& known, const std::string& where);

/// Throws Error(config): NAME must be a table.
void check_table(const TomlNode& node, const std::string& name);

/// Throws Error(config): NAME must be a string, integer, ...
[[noreturn]] void throw_wrong_kind(const std::string& name, const std::string& wanted, const TomlNode& node);

/// Leaves of nested tables under their dotted names, in the file's order; where each stands goes to `places`
/// below `prefix`. Throws Error(config): a name that comes twice (dotted and quoted), or with other than
/// [A-Za-z0-9_.-]. A table that `is_leaf` is one too.
std::vector<std::pair<std::string, const TomlNode*>> flatten(
    const TomlNode& table, const std::string& prefix, Places& places,
    const std::function<bool(const TomlNode&)>& is_leaf = {});

}  // namespace muster
