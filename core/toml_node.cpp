#include "core/toml_node.hpp"

#include <toml++/toml.h>
#include <algorithm>
#include <cmath>
#include <string_view>
#include <tuple>

#include "core/durable_file.hpp"

namespace muster {

namespace {

constexpr int kDeepest = 16;
constexpr std::size_t kLargest = 4 << 20;

SourcePlace place_of(const toml::source_region& source, const std::filesystem::path& file) {
  return {file, static_cast<int>(source.begin.line), static_cast<int>(source.begin.column)};
}

TomlNode convert(const toml::node& source, const SourcePlace& fallback, int depth) {
  TomlNode node;
  node.value_place = source.source().begin.line > 0 ? place_of(source.source(), fallback.file) : fallback;
  node.key_place = node.value_place;
  if (depth > kDeepest)
    throw Error(ExitCode::config, "this is nested deeper than anything muster knows", "flatten it",
                node.value_place);
  if (const toml::table* table = source.as_table()) {
    node.kind = TomlNode::Kind::table;
    for (const auto& [key, item] : *table) {
      const SourcePlace key_place = place_of(key.source(), fallback.file);
      TomlNode converted = convert(item, key_place, depth + 1);
      converted.key = key.str();
      converted.key_place = key_place;
      node.items.push_back(std::move(converted));
    }
    // toml++ keeps a table's keys sorted by name; the order of axes is the file's.
    std::stable_sort(node.items.begin(), node.items.end(), [](const TomlNode& a, const TomlNode& b) {
      return std::tie(a.key_place.line, a.key_place.column) < std::tie(b.key_place.line, b.key_place.column);
    });
  } else if (const toml::array* array = source.as_array()) {
    node.kind = TomlNode::Kind::array;
    for (const toml::node& item : *array) node.items.push_back(convert(item, node.value_place, depth + 1));
  } else {
    node.kind = TomlNode::Kind::value;
    if (const auto* boolean = source.as_boolean()) {
      node.value = boolean->get();
    } else if (const auto* integer = source.as_integer()) {
      node.value = integer->get();
    } else if (const auto* number = source.as_floating_point()) {
      if (std::isnan(number->get()))
        throw Error(ExitCode::config, "nan is no value: it does not even equal itself", "give a number",
                    node.value_place);
      node.value = number->get();
    } else if (const auto* text = source.as_string()) {
      if (text->get().find('\0') != std::string::npos)
        throw Error(ExitCode::config, "a zero byte is in this text, which no path or argument can hold",
                    "remove it", node.value_place);
      node.value = text->get();
    } else {
      throw Error(ExitCode::config, "a date or time is no value that muster knows", "put it in quotes",
                  node.value_place);
    }
  }
  return node;
}

}  // namespace

const char* TomlNode::kind_name() const {
  switch (kind) {
    case Kind::value:
      return value.kind();
    case Kind::array:
      return "list";
    case Kind::table:
      return "table";
  }
  return "?";
}

TomlNode parse_toml(const std::string& text, const std::filesystem::path& file) {
  if (text.size() > kLargest)
    throw Error(ExitCode::config, "the file has more than 4 MiB", "is it the right file?", SourcePlace{file});
  try {
    const toml::table root = toml::parse(text, file.string());
    return convert(root, SourcePlace{file}, 0);
  } catch (const toml::parse_error& error) {
    throw Error(ExitCode::config, "not valid TOML: " + std::string(error.description()),
                "see https://toml.io", place_of(error.source(), file));
  }
}

TomlNode read_toml(const std::filesystem::path& file) {
  std::string text;
  try {
    text = read_text(file);
  } catch (const Error& error) {
    throw Error(ExitCode::config, error.problem(), "check the path", SourcePlace{});
  }
  return parse_toml(text, file);
}

Value to_value(const TomlNode& node) {
  if (node.kind == TomlNode::Kind::value) return node.value;
  if (node.kind == TomlNode::Kind::table)
    throw Error(ExitCode::config, "a table stands where a value belongs",
                "give a boolean, number, string or list", node.value_place);
  Value::List list;
  bool any_float = false;
  for (const TomlNode& item : node.items) {
    list.push_back(to_value(item));
    any_float = any_float || list.back().is_float();
  }
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (any_float && list[i].is_int()) list[i] = list[i].as_float();
    if (std::string_view(list[i].kind()) != list[0].kind())
      throw Error(ExitCode::config,
                  std::string("a list holds values of one kind, but this is a ") + list[i].kind() +
                      " after a " + list[0].kind(),
                  "give values of one kind", node.items[i].value_place);
  }
  return list;
}

}  // namespace muster
