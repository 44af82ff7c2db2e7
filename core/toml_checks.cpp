#include "core/toml_checks.hpp"

#include "core/nearest_name.hpp"

namespace muster {

namespace {

constexpr const char* kNameCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

using Leaves = std::vector<std::pair<std::string, const TomlNode*>>;
using IsLeaf = std::function<bool(const TomlNode&)>;

void collect(const TomlNode& table, const std::string& above, const std::string& prefix, Places& places,
             const IsLeaf& is_leaf, Leaves& leaves) {
  for (const TomlNode& item : table.items) {
    if (item.key.empty() || item.key.find_first_not_of(kNameCharacters) != std::string::npos)
      throw Error(ExitCode::config, "'" + item.key + "' cannot be a name",
                  "use letters, digits, '_', '-' and '.'", item.key_place);
    const std::string name = above + item.key;
    if (item.kind == TomlNode::Kind::table && !(is_leaf && is_leaf(item))) {
      collect(item, name + ".", prefix, places, is_leaf, leaves);
      continue;
    }
    if (!places.try_emplace(prefix + name, item.key_place).second)
      throw Error(ExitCode::config, "'" + name + "' is given twice", "keep one of them", item.key_place);
    leaves.emplace_back(name, &item);
  }
}

}  // namespace

const TomlNode* find_member(const TomlNode& table, const std::string& key) {
  for (const TomlNode& item : table.items) {
    if (item.key == key) return &item;
  }
  return nullptr;
}

void check_keys(const TomlNode& table, const std::vector<std::string>& known, const std::string& where) {
  for (const TomlNode& item : table.items) {
    bool found = false;
    for (const std::string& name : known) found = found || name == item.key;
    if (!found)
      throw Error(ExitCode::config, "unknown key '" + item.key + "' in " + where,
                  name_advice(item.key, known), item.key_place);
  }
}

void check_table(const TomlNode& node, const std::string& name) {
  if (node.kind != TomlNode::Kind::table) throw_wrong_kind(name, "a table", node);
}

void throw_wrong_kind(const std::string& name, const std::string& wanted, const TomlNode& node) {
  std::string found = std::string("a ") + node.kind_name();
  if (node.kind == TomlNode::Kind::value)
    found = std::string("the ") + node.kind_name() + " " + node.value.canonical();
  throw Error(ExitCode::config, "'" + name + "' must be " + wanted + ", not " + found, "", node.value_place);
}

Leaves flatten(const TomlNode& table, const std::string& prefix, Places& places, const IsLeaf& is_leaf) {
  Leaves leaves;
  collect(table, "", prefix, places, is_leaf, leaves);
  return leaves;
}

}  // namespace muster
