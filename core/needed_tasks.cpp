#include "core/needed_tasks.hpp"

#include <algorithm>
#include <optional>

#include "core/matrix.hpp"
#include "core/nearest_name.hpp"

namespace muster {

namespace {

/// Of the axis, or where an included cell lacks it of the parameter.
std::optional<Value> value_on(const Task& task, const std::string& axis) {
  for (const Parameters* values : {&task.cell, &task.parameters}) {
    if (const auto found = values->find(axis); found != values->end()) return found->second;
  }
  return std::nullopt;
}

bool is_among(const std::optional<Value>& value, const std::vector<Value>& values) {
  return value && std::any_of(values.begin(), values.end(),
                              [&](const Value& wanted) { return sameness(wanted) == sameness(*value); });
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// "model = \"a\", seed = 1".
std::string text_of(const Cell& values) {
  std::string text;
  for (const auto& [axis, value] : values)
    text += (text.empty() ? "" : ", ") + axis + " = " + value.canonical();
  return text;
}

/// Whether the stage would have such a cell if it excluded none.
bool is_excluded(const StageTasks& needed, const Cell& wanted) {
  if (needed.experiment.matrix.exclude.empty()) return false;
  Matrix whole = needed.experiment.matrix;
  whole.exclude.clear();
  whole.exclude_places.clear();
  const std::vector<Cell> cells = expand(whole, needed.experiment.file);
  return std::any_of(cells.begin(), cells.end(), [&](const Cell& cell) {
    return std::all_of(wanted.begin(), wanted.end(), [&](const auto& axis) {
      const auto found = cell.find(axis.first);
      return found != cell.end() && sameness(found->second) == sameness(axis.second);
    });
  });
}

}  // namespace

ReferenceMatcher::ReferenceMatcher(const Reference& reference, const StageTasks& own,
                                   const StageTasks& needed, const std::vector<Task>& tasks)
    : reference_(reference), needed_(needed), tasks_(tasks) {
  for (const auto& [axis, values] : reference.where) {
    if (!contains(needed.axes, axis))
      throw Error(ExitCode::config, "stage '" + reference.stage + "' has no axis '" + axis + "'",
                  name_advice(axis, needed.axes, "it has none"), reference.where_places.at(axis));
  }
  for (const std::string& axis : needed.axes) {
    if (contains(own.axes, axis) && !reference.where.contains(axis)) shared_.push_back(axis);
  }
}

std::string ReferenceMatcher::key_of(const Task& task, const std::vector<std::string>& axes) const {
  std::string key;
  for (const std::string& axis : axes) {
    const auto value = value_on(task, axis);
    key += (value ? sameness(*value) : "none") + "\n";
  }
  return key;
}

std::vector<std::size_t> ReferenceMatcher::match(const Task& task) const {
  std::vector<std::string> axes;
  std::string names;
  for (const std::string& axis : shared_) {
    if (!value_on(task, axis)) continue;
    axes.push_back(axis);
    names += axis + "\n";
  }
  const auto [index, is_new] = by_values_.try_emplace(names);
  for (std::size_t i = needed_.first; is_new && i < needed_.first + needed_.count; ++i) {
    const bool meant = std::all_of(reference_.where.begin(), reference_.where.end(), [&](const auto& wanted) {
      return is_among(value_on(tasks_[i], wanted.first), wanted.second);
    });
    if (meant) index->second[key_of(tasks_[i], axes)].push_back(i);
  }
  const auto found = index->second.find(key_of(task, axes));
  if (found == index->second.end()) throw_none(task, axes);
  return found->second;
}

void ReferenceMatcher::throw_none(const Task& task, const std::vector<std::string>& axes) const {
  Cell wanted;
  for (const std::string& axis : axes) wanted[axis] = *value_on(task, axis);
  Cell shown = wanted;
  for (const auto& [axis, values] : reference_.where) {
    shown[axis] = values.size() == 1 ? values.front() : Value(values);
    if (values.size() == 1) wanted[axis] = values.front();
  }
  const bool excluded = is_excluded(needed_, wanted);
  throw Error(ExitCode::config,
              "'" + task.label + "' needs a task of stage '" + reference_.stage + "' with " + text_of(shown) +
                  ", but there is none" + (excluded ? ": its matrix excludes it" : ""),
              excluded
                  ? "exclude it here too, or keep it there"
                  : "give both stages the same values on these axes, or say with 'where' which are meant",
              reference_.place);
}

}  // namespace muster
