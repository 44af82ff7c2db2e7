#include "core/reference_reader.hpp"

#include <algorithm>
#include <filesystem>

#include "core/toml_checks.hpp"

namespace muster {

namespace {

std::string text_of(const TomlNode& node, const std::string& name) {
  if (node.kind != TomlNode::Kind::value || !node.value.is_string()) throw_wrong_kind(name, "a string", node);
  return node.value.as_string();
}

std::string read_file(const TomlNode& node, const std::string& name) {
  const std::string given = text_of(node, name);
  const std::filesystem::path path = std::filesystem::path(given).lexically_normal();
  if (given.empty() || path.is_absolute() || *path.begin() == ".." || !path.has_filename() || path == ".")
    throw Error(ExitCode::config, "'" + name + "' cannot be " + Value(given).canonical(),
                "give a file's path from the needed task's artifacts folder; without it the folder is meant",
                node.value_place);
  return path.generic_string();
}

void read_where(const TomlNode& node, const std::string& name, Reference& reference) {
  check_table(node, name);
  for (const auto& [axis, item] : flatten(node, "", reference.where_places)) {
    const Value value = to_value(*item);
    reference.where[axis] = value.is_list() ? value.as_list() : Value::List{value};
    if (reference.where[axis].empty())
      throw Error(ExitCode::config, "'" + name + "." + axis + "' has no values, so no task is meant",
                  "give it values, or remove it", item->value_place);
  }
}

Reference read_reference(const TomlNode& node, const std::string& name) {
  check_keys(node, {"from", "file", "where"}, "'" + name + "'");
  Reference reference;
  const TomlNode& from = *find_member(node, "from");
  reference.stage = text_of(from, name + ".from");
  reference.place = from.value_place;
  if (const TomlNode* file = find_member(node, "file")) reference.file = read_file(*file, name + ".file");
  if (const TomlNode* where = find_member(node, "where")) read_where(*where, name + ".where", reference);
  return reference;
}

}  // namespace

bool is_reference(const TomlNode& node) {
  return node.kind == TomlNode::Kind::table && find_member(node, "from") != nullptr;
}

std::optional<References> read_references(const TomlNode& node, const std::string& name) {
  if (is_reference(node)) return References{{read_reference(node, name)}, false};
  const bool all = node.kind == TomlNode::Kind::array && !node.items.empty() &&
                   std::all_of(node.items.begin(), node.items.end(), is_reference);
  if (!all) return std::nullopt;
  References references{{}, true};
  for (const TomlNode& item : node.items) references.items.push_back(read_reference(item, name));
  return references;
}

}  // namespace muster
