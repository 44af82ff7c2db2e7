#include "launcher/run_summary.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "core/resource_values.hpp"
#include "launcher/attempt_ledger.hpp"
#include "launcher/run_folder.hpp"
#include "launcher/task_needs.hpp"
#include "launcher/text_table.hpp"
#include "results/metric_reader.hpp"

namespace muster {

namespace {

constexpr const char* kRate = "images_per_second";

double number_of(const MetricValue& value) {
  return std::visit([](auto number) { return static_cast<double>(number); }, value);
}

std::string short_number(double number) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", number);
  return text;
}

std::string short_number(const MetricValue& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return std::to_string(*integer);
  return short_number(std::get<double>(value));
}

const FinalMetric* find(const TaskSummary& task, const std::string& name) {
  const auto found = std::find_if(task.metrics.begin(), task.metrics.end(),
                                  [&](const auto& metric) { return metric.name == name; });
  return found == task.metrics.end() ? nullptr : &*found;
}

/// All that two tasks must share to be compared: everything but the number of ranks.
std::string all_but_ranks(const Task& task) {
  std::string text = task.workload + "\n";
  for (const std::string& word : task.command) text += word + "\n";
  for (const auto& [name, value] : task.parameters) text += name + "=" + value.canonical() + "\n";
  return text + std::to_string(task.resources.cpus_per_rank) + " " + gpus_of_a_rank(task.resources) + " " +
         to_string(task.resources.gpu_sharing);
}

/// Times and bytes are many and for study: they are in summary.csv. What a run is judged by has other units.
bool is_shown(const FinalMetric& metric) { return metric.unit != "s" && metric.unit != "B"; }

/// Names in the order in which tasks first show them.
std::vector<std::string> shown_metrics(const std::vector<TaskSummary>& tasks) {
  std::vector<std::string> names;
  for (const TaskSummary& task : tasks) {
    for (const FinalMetric& metric : task.metrics) {
      if (is_shown(metric) && std::find(names.begin(), names.end(), metric.name) == names.end()) {
        names.push_back(metric.name);
      }
    }
  }
  return names;
}

/// `before` are the tasks before it, whoever is needed among them; `index` says where, by number.
void block_if_needed(const PlannedTask& planned, const std::vector<SupervisedTask>& before,
                     const std::map<int, std::size_t>& index, SupervisedTask& task) {
  if (task.state != TaskState::pending) return;
  for (const int number : planned.needs) {
    const auto found = index.find(number);
    if (found == index.end()) continue;
    const SupervisedTask& needed = before[found->second];
    if (needed.state != TaskState::failed && needed.state != TaskState::blocked) continue;
    task.state = TaskState::blocked;
    task.reason = needs_text(needed.name, needed.state);
    return;
  }
}

std::string table_of_one(const std::vector<TaskSummary>& tasks) {
  const std::vector<std::string> metrics = shown_metrics(tasks);
  const bool scaling =
      std::any_of(tasks.begin(), tasks.end(), [](const auto& task) { return task.speedup.has_value(); });
  std::vector<std::string> header{"task", "state", "attempts", "seconds"};
  header.insert(header.end(), metrics.begin(), metrics.end());
  if (scaling) header.insert(header.end(), {"speedup", "efficiency"});
  TextTable table(header);
  for (const TaskSummary& task : tasks) {
    char seconds[32];
    std::snprintf(seconds, sizeof seconds, "%.1f", task.seconds);
    std::vector<std::string> row{task.name, to_string(task.state), std::to_string(task.attempts), seconds};
    for (const std::string& name : metrics) {
      const FinalMetric* metric = find(task, name);
      row.push_back(metric == nullptr ? "-" : short_number(metric->value));
    }
    if (scaling) {
      row.push_back(task.speedup ? short_number(*task.speedup) : "-");
      row.push_back(task.efficiency ? short_number(*task.efficiency) : "-");
    }
    table.add_row(row);
  }
  return table.text();
}

}  // namespace

std::vector<FinalMetric> final_metrics_of(const std::filesystem::path& metrics_h5) {
  std::vector<FinalMetric> metrics;
  if (metrics_h5.empty() || !std::filesystem::exists(metrics_h5)) return metrics;
  try {
    const MetricReader reader(metrics_h5);
    if (reader.tables().empty()) return metrics;
    const MetricTable& table = reader.tables().front();
    const std::uint64_t rows = reader.rows(table.name);
    if (rows == 0) return metrics;
    const MetricRow row = reader.read(table.name, rows - 1, 1).front();
    for (std::size_t column = 0; column < table.columns.size(); ++column) {
      const MetricColumn& of = table.columns[column];
      if (of.name != "attempt" && of.name != "unix_time") metrics.push_back({of.name, of.unit, row[column]});
    }
  } catch (const Error&) {
    // A file that its writer has only just begun, or left open: there will be numbers later.
    metrics.clear();
  }
  return metrics;
}

std::vector<SupervisedTask> look_at_tasks(const ExperimentPaths& experiment,
                                          const std::vector<PlannedTask>& planned,
                                          const std::map<std::string, JournalEntry>& journal) {
  std::vector<SupervisedTask> tasks;
  std::map<int, std::size_t> index;
  for (const PlannedTask& of_plan : planned) {
    SupervisedTask task = supervised(of_plan, experiment);
    task.attempt = highest_attempt(task.paths);
    const auto entry = journal.find(of_plan.task.folder_name());
    if (entry != journal.end()) {
      task.state = entry->second.state;
      task.reason = entry->second.reason;
    }
    if (std::filesystem::exists(task.paths.done())) task.state = TaskState::done;
    block_if_needed(of_plan, tasks, index, task);
    index[task.number] = tasks.size();
    tasks.push_back(std::move(task));
  }
  return tasks;
}

std::vector<TaskSummary> summarize(const std::vector<SupervisedTask>& tasks) {
  std::vector<TaskSummary> summaries;
  for (const SupervisedTask& task : tasks) {
    TaskSummary summary;
    summary.number = task.number;
    summary.name = task.name;
    summary.task = task.task;
    summary.folder = task.paths.folder();
    summary.state = task.state;
    summary.attempts = highest_attempt(task.paths);
    summary.seconds = seconds_of_attempts(task.paths);
    summary.reason = task.reason;
    const auto metrics = AttemptPaths(task.paths.attempt(summary.attempts)).metrics_h5();
    if (summary.attempts > 0 && std::filesystem::exists(metrics)) summary.metrics_h5 = metrics;
    // While a gang writes, its file is left to it.
    if (task.phase == TaskPhase::over) summary.metrics = final_metrics_of(summary.metrics_h5);
    summaries.push_back(std::move(summary));
  }
  add_scaling(summaries);
  return summaries;
}

void add_scaling(std::vector<TaskSummary>& tasks) {
  std::map<std::string, double> rate_of_one_rank;
  for (const TaskSummary& task : tasks) {
    const FinalMetric* rate = find(task, kRate);
    if (rate != nullptr && task.task.resources.ranks == 1)
      rate_of_one_rank[all_but_ranks(task.task)] = number_of(rate->value);
  }
  for (TaskSummary& task : tasks) {
    const FinalMetric* rate = find(task, kRate);
    const auto one = rate_of_one_rank.find(all_but_ranks(task.task));
    if (rate == nullptr || task.task.resources.ranks == 1 || one == rate_of_one_rank.end() ||
        one->second <= 0)
      continue;
    task.speedup = number_of(rate->value) / one->second;
    task.efficiency = *task.speedup / task.task.resources.ranks;
  }
}

std::string summary_table(const std::vector<TaskSummary>& tasks) {
  std::vector<std::pair<std::string, std::vector<TaskSummary>>> by_workload;
  for (const TaskSummary& task : tasks) {
    auto group = std::find_if(by_workload.begin(), by_workload.end(),
                              [&](const auto& each) { return each.first == task.task.workload; });
    if (group == by_workload.end()) group = by_workload.insert(group, {task.task.workload, {}});
    group->second.push_back(task);
  }
  std::string text;
  for (const auto& [workload, group] : by_workload) text += (text.empty() ? "" : "\n") + table_of_one(group);
  return text;
}

std::string summary_json(const std::filesystem::path& run_folder, const std::vector<TaskSummary>& tasks) {
  using Json = nlohmann::ordered_json;
  Json json{{"run", run_folder.string()}, {"tasks", Json::array()}};
  for (const TaskSummary& task : tasks) {
    Json item{
        {"number", task.number},          {"label", task.task.label},          {"id", task.task.id},
        {"folder", task.folder.string()}, {"state", to_string(task.state)},    {"attempts", task.attempts},
        {"seconds", task.seconds},        {"ranks", task.task.resources.ranks}};
    item["reason"] = task.reason;
    item["metrics"] = Json::object();
    for (const FinalMetric& metric : task.metrics) {
      std::visit([&](auto number) { item["metrics"][metric.name] = number; }, metric.value);
    }
    item["speedup"] = task.speedup ? Json(*task.speedup) : Json(nullptr);
    item["efficiency"] = task.efficiency ? Json(*task.efficiency) : Json(nullptr);
    json["tasks"].push_back(item);
  }
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::vector<SweepEntry> sweep_entries(const std::vector<TaskSummary>& tasks) {
  std::vector<SweepEntry> entries;
  for (const TaskSummary& task : tasks) {
    SweepEntry entry;
    entry.number = task.number;
    entry.task = task.task;
    entry.state = to_string(task.state);
    entry.attempts = task.attempts;
    entry.seconds = task.seconds;
    entry.task_folder = task.folder;
    entry.metrics_h5 = task.metrics_h5;
    for (const FinalMetric& metric : task.metrics) entry.final_metrics[metric.name] = metric.value;
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace muster
