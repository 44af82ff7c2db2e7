#include "results/sweep_table.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "core/resource_values.hpp"
#include "results/csv_row_sink.hpp"

namespace muster {

namespace {

SweepKind kind_of(const std::vector<std::optional<Value>>& values) {
  const auto all = [&](auto holds) { return std::ranges::all_of(values, holds); };
  using Given = std::optional<Value>;
  if (all([](const Given& value) { return value && value->is_int(); })) return SweepKind::integer;
  if (all([](const Given& value) { return value && value->is_bool(); })) return SweepKind::boolean;
  if (all([](const Given& value) { return !value || value->is_int() || value->is_float(); }))
    return SweepKind::floating;
  return SweepKind::text;
}

std::string csv_value(const SweepColumn& column, const std::optional<Value>& value) {
  if (!value) return column.kind == SweepKind::floating ? "nan" : "";
  switch (column.kind) {
    case SweepKind::integer:
      return csv_number(value->as_int());
    case SweepKind::floating:
      return csv_number(value->as_float());
    case SweepKind::boolean:
    case SweepKind::text:
      break;
  }
  return csv_field(value->text());
}

}  // namespace

std::string relative_to(const std::filesystem::path& target, const std::filesystem::path& folder) {
  return std::filesystem::absolute(target)
      .lexically_normal()
      .lexically_relative(std::filesystem::absolute(folder).lexically_normal())
      .generic_string();
}

std::vector<SweepColumn> sweep_columns(const std::vector<SweepEntry>& entries,
                                       const std::filesystem::path& run_folder) {
  std::vector<SweepColumn> columns;
  std::set<std::string> taken;
  const auto add = [&](const std::string& name, const std::string& source, auto value_of) {
    SweepColumn column{name, source, SweepKind::text, {}};
    while (!taken.insert(column.name).second) column.name = source + "s." + column.name;
    for (const SweepEntry& entry : entries) column.values.push_back(value_of(entry));
    column.kind = kind_of(column.values);
    columns.push_back(std::move(column));
  };
  using Given = std::optional<Value>;
  add("task", "task", [](const SweepEntry& e) -> Given { return e.number; });
  add("label", "task", [](const SweepEntry& e) -> Given { return e.task.label; });
  add("id", "task", [](const SweepEntry& e) -> Given { return e.task.id; });
  add("state", "task", [](const SweepEntry& e) -> Given { return e.state; });
  add("attempts", "task", [](const SweepEntry& e) -> Given { return e.attempts; });
  add("seconds", "task", [](const SweepEntry& e) -> Given { return e.seconds; });
  add("folder", "task", [&](const SweepEntry& e) -> Given { return relative_to(e.task_folder, run_folder); });

  std::set<std::string> parameters;
  std::set<std::string> metrics;
  for (const SweepEntry& entry : entries) {
    for (const auto& [name, value] : entry.task.parameters) parameters.insert(name);
    // An axis that only chooses among the tasks of another stage.
    for (const auto& [axis, value] : entry.task.cell) {
      if (!axis.starts_with("resources.")) parameters.insert(axis);
    }
    for (const auto& [name, value] : entry.final_metrics) metrics.insert(name);
  }
  for (const std::string& name : parameters)
    add(name, "parameter", [&](const SweepEntry& e) -> Given {
      for (const Parameters* values : {&e.task.parameters, &e.task.cell}) {
        if (const auto found = values->find(name); found != values->end()) return found->second;
      }
      return {};
    });
  add("resources.ranks", "parameter", [](const SweepEntry& e) -> Given { return e.task.resources.ranks; });
  add("resources.cpus_per_rank", "parameter",
      [](const SweepEntry& e) -> Given { return e.task.resources.cpus_per_rank; });
  add("resources.gpus_per_rank", "parameter",
      [](const SweepEntry& e) -> Given { return resource_values(e.task.resources).at("gpus_per_rank"); });
  for (const std::string& name : metrics)
    add("final_" + name, "final", [&](const SweepEntry& e) -> Given {
      const auto found = e.final_metrics.find(name);
      if (found == e.final_metrics.end()) return {};
      return std::visit([](auto number) { return Value(number); }, found->second);
    });
  const bool has_stages = std::ranges::any_of(entries, [](const auto& e) { return !e.task.stage.empty(); });
  if (std::ranges::any_of(entries, [](const auto& e) { return e.task.resources.shares_gpus(); }))
    add("resources.gpu_sharing", "parameter",
        [](const SweepEntry& e) -> Given { return to_string(e.task.resources.gpu_sharing); });
  if (has_stages) add("stage", "task", [](const SweepEntry& e) -> Given { return e.task.stage; });
  return columns;
}

std::string sweep_csv(const std::vector<SweepColumn>& columns) {
  std::string text;
  for (const SweepColumn& column : columns) {
    if (!text.empty()) text += ',';
    text += csv_field(column.name);
  }
  text += '\n';
  const std::size_t rows = columns.empty() ? 0 : columns.front().values.size();
  for (std::size_t row = 0; row < rows; ++row)
    for (std::size_t i = 0; i < columns.size(); ++i) {
      text += csv_value(columns[i], columns[i].values[row]);
      text += i + 1 < columns.size() ? ',' : '\n';
    }
  return text;
}

}  // namespace muster
