#pragma once
/// A Context without a runner: metrics stay in memory, checkpoints are files in a folder of the test's.

#include <filesystem>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/safetensors.hpp"
#include "runner/workload.hpp"

namespace muster::workloads {

class MemoryMetrics : public Metrics {
 public:
  using Rows = std::vector<std::vector<MetricValue>>;
  void declare(const std::vector<MetricTable>& tables) override {
    for (const auto& table : tables) tables_[table.name] = table;
  }
  void append(const std::string& table, const std::vector<MetricValue>& row) override {
    if (row.size() != tables_.at(table).columns.size())
      throw std::logic_error("wrong row for table " + table);
    for (std::size_t i = 0; i < row.size(); ++i) {
      const bool whole = std::holds_alternative<std::int64_t>(row[i]);
      if (whole != (tables_[table].columns[i].type == MetricType::integer)) {
        throw std::logic_error("wrong type in column " + tables_[table].columns[i].name);
      }
    }
    rows[table].push_back(row);
  }
  void flush() override {}

  /// A column of all rows so far, as doubles.
  std::vector<double> column(const std::string& table, const std::string& name) const {
    std::vector<double> values;
    const auto& columns = tables_.at(table).columns;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      if (columns[i].name != name) continue;
      for (const auto& row : rows.at(table)) {
        values.push_back(std::visit([](auto v) { return static_cast<double>(v); }, row[i]));
      }
      return values;
    }
    throw std::logic_error("no column " + name);
  }

  std::map<std::string, Rows> rows;

 private:
  std::map<std::string, MetricTable> tables_;
};

/// A column over a task's attempts, in their order; those that wrote no row of the table have nothing.
inline std::vector<double> column_of_attempts(std::initializer_list<const MemoryMetrics*> attempts,
                                              const std::string& table, const std::string& name) {
  std::vector<double> values;
  for (const MemoryMetrics* attempt : attempts) {
    if (!attempt->rows.contains(table)) continue;
    const auto more = attempt->column(table, name);
    values.insert(values.end(), more.begin(), more.end());
  }
  return values;
}

/// One rank's; ranks that are threads share the folder, and keep the newest checkpoint alone.
class MemoryContext : public Context, public Checkpoints {
 public:
  /// `after` says what to do once `step` steps are done.
  MemoryContext(Task task, Communicator& communicator, std::filesystem::path folder,
                std::function<AfterStep(std::int64_t)> after = {})
      : task_(std::move(task)),
        communicator_(communicator),
        folder_(std::move(folder)),
        after_(std::move(after)) {
    std::filesystem::create_directories(folder_);
  }

  const Task& task() const override { return task_; }
  Communicator& communicator() override { return communicator_; }
  const Device& device() const override { return computes_on; }
  DeviceCommunicator* device_communicator() override { return between_gpus; }
  Metrics& metrics() override { return recorded; }
  Checkpoints& checkpoints() override { return *this; }
  const std::filesystem::path& artifacts() const override { return folder_; }
  AfterStep after_step(const Progress& progress) override {
    newest = progress;
    return after_ ? after_(progress.step) : AfterStep::go_on;
  }
  void log(const std::string& line, bool) override { lines.push_back(line); }

  void save(const CheckpointState& state) override {
    if (communicator_.rank() == 0) {
      auto metadata = state.metadata;
      metadata["step"] = std::to_string(state.step);
      write_safetensors(folder_ / "checkpoint", state.shared, metadata);
    }
    write_safetensors(own_file(), state.own, {});
    communicator_.barrier();
  }
  std::optional<LoadedCheckpoint> load_newest() override {
    if (!std::filesystem::exists(folder_ / "checkpoint")) return std::nullopt;
    LoadedCheckpoint loaded;
    loaded.shared = std::make_shared<SafetensorsFile>(folder_ / "checkpoint");
    loaded.own = std::make_shared<SafetensorsFile>(own_file());
    loaded.metadata = loaded.shared->metadata();
    loaded.step = std::stoll(loaded.metadata.at("step"));
    return loaded;
  }

  Device computes_on;
  DeviceCommunicator* between_gpus = nullptr;
  MemoryMetrics recorded;
  std::vector<std::string> lines;
  Progress newest;

 private:
  std::filesystem::path own_file() const {
    return folder_ / ("checkpoint-rank-" + std::to_string(communicator_.rank()));
  }

  Task task_;
  Communicator& communicator_;
  std::filesystem::path folder_;
  std::function<AfterStep(std::int64_t)> after_;
};

}  // namespace muster::workloads
