#include "core/matrix_reader.hpp"

#include "core/resource_values.hpp"

namespace muster {

namespace {

void check_resource(const std::string& key, const Value& value, const SourcePlace& place) {
  if (const auto name = resource_name_of(key)) {
    Resources scratch;
    set_resource(scratch, *name, value, place);
  }
}

std::vector<Axis> read_axes(const TomlNode& node, const std::string& name, Places& places) {
  check_table(node, name);
  std::vector<Axis> axes;
  for (const auto& [key, item] : flatten(node, name + ".", places)) {
    if (item->kind != TomlNode::Kind::array)
      throw Error(ExitCode::config,
                  "axis '" + key + "' must be a list of values, not the " + item->kind_name() + " " +
                      item->value.canonical(),
                  "write [" + item->value.canonical() + "], or move it to [parameters]", item->value_place);
    if (item->items.empty())
      throw Error(ExitCode::config, "axis '" + key + "' has no values, so there would be no tasks",
                  "give it values, or remove it", item->value_place);
    Axis axis{key, {}, item->key_place};
    for (const TomlNode& element : item->items) {
      axis.values.push_back(to_value(element));
      places[name + "." + key + "[" + std::to_string(axis.values.size() - 1) + "]"] = element.value_place;
      check_resource(key, axis.values.back(), element.value_place);
    }
    axes.push_back(std::move(axis));
  }
  return axes;
}

void read_cells(const TomlNode& node, const std::string& name, Places& places, std::vector<Cell>& cells,
                std::vector<SourcePlace>& cell_places) {
  if (node.kind != TomlNode::Kind::array) throw_wrong_kind(name, "a list of tables", node);
  for (const TomlNode& item : node.items) {
    const std::string item_name = name + "[" + std::to_string(cells.size()) + "]";
    check_table(item, item_name);
    Cell cell;
    for (const auto& [key, member] : flatten(item, item_name + ".", places)) {
      cell[key] = to_value(*member);
      check_resource(key, cell[key], member->value_place);
    }
    if (cell.empty())
      throw Error(ExitCode::config, "'" + item_name + "' is empty", "give it values, or remove it",
                  item.value_place);
    cells.push_back(std::move(cell));
    cell_places.push_back(item.value_place);
    places[item_name] = item.value_place;
  }
}

void check_zip(const Matrix& matrix) {
  for (const Axis& axis : matrix.zip) {
    const Axis& first = matrix.zip.front();
    if (axis.values.size() != first.values.size())
      throw Error(ExitCode::config,
                  "zip axes go side by side, but '" + axis.key + "' has " +
                      std::to_string(axis.values.size()) + " values and '" + first.key + "' has " +
                      std::to_string(first.values.size()),
                  "give them as many, or move one to grid", axis.place);
    for (const Axis& other : matrix.grid) {
      if (other.key == axis.key)
        throw Error(ExitCode::config, "axis '" + axis.key + "' is in both grid and zip", "keep one of them",
                    axis.place);
    }
  }
}

}  // namespace

Matrix read_matrix(const TomlNode& node, Places& places) {
  check_table(node, "matrix");
  check_keys(node, {"grid", "zip", "include", "exclude"}, "[matrix]");
  Matrix matrix;
  if (const TomlNode* grid = find_member(node, "grid")) matrix.grid = read_axes(*grid, "matrix.grid", places);
  if (const TomlNode* zip = find_member(node, "zip")) matrix.zip = read_axes(*zip, "matrix.zip", places);
  check_zip(matrix);
  if (const TomlNode* include = find_member(node, "include"))
    read_cells(*include, "matrix.include", places, matrix.include, matrix.include_places);
  if (const TomlNode* exclude = find_member(node, "exclude"))
    read_cells(*exclude, "matrix.exclude", places, matrix.exclude, matrix.exclude_places);
  return matrix;
}

}  // namespace muster
