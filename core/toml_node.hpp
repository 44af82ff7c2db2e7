#pragma once
/// A TOML document as plain data, with the place of every key and value.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/value.hpp"

namespace muster {

/// A value, an array or a table. Dotted keys of the file are nested tables here; a quoted key keeps its dots.
struct TomlNode {
  enum class Kind { value, array, table };

  std::string key;  ///< "" in an array and at the root
  Kind kind = Kind::table;
  Value value;                  ///< of a value
  std::vector<TomlNode> items;  ///< of an array or a table, in the file's order
  SourcePlace key_place;        ///< the place of `value_place` where there is no key
  SourcePlace value_place;

  /// "boolean", ..., "list", "table": as messages name it.
  const char* kind_name() const;
};

/// Throws Error(config) with file:line:column for what is no TOML, for dates and times, nan, and nesting
/// deeper than any of our files has; without a line where the file cannot be read.
TomlNode read_toml(const std::filesystem::path& file);

/// The same from text; `file` is for messages.
TomlNode parse_toml(const std::string& text, const std::filesystem::path& file);

/// A value or an array of values. A list's integers become floats where another element is a float.
/// Throws Error(config): a table, or a list of several kinds.
Value to_value(const TomlNode& node);

}  // namespace muster
