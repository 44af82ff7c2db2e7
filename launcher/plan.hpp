#pragma once
/// The plan of a run: its tasks, numbered, and which of them cannot run on what there is. Pure but for
/// reading its file.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/experiment.hpp"
#include "core/task.hpp"
#include "launcher/placement.hpp"

namespace muster {

/// What there is to run tasks on.
struct Capacity {
  int cpus = 1;
  int gpus = 0;
  int cpus_of_host = 0;  ///< of the largest host; 0: all are on one
  int gpus_of_host = 0;
};

Capacity capacity_of(const std::vector<Slots>& hosts);

/// Why a task cannot run, ever, on what there is.
struct Refusal {
  std::string problem;
  std::string advice;
  SourcePlace place;
};

/// A task and its number in the run ("task-7").
struct PlannedTask {
  int number = 0;
  Task task;
  std::optional<Refusal> refusal;
  std::vector<int> needs{};  ///< numbers of the tasks that must be done before
};

/// A number that is taken: what a plan's file says of a task.
struct NumberedTask {
  int number = 0;
  std::string id;
  std::string folder;  ///< Task::folder_name

  bool operator==(const NumberedTask&) const = default;
};

struct Plan {
  std::string experiment;
  std::vector<PlannedTask> tasks;     ///< in matrix order
  std::vector<NumberedTask> retired;  ///< were in an earlier plan of this run and are no longer in the matrix
};

/// Tasks that `earlier` numbers keep their numbers, by id; new ones get the next free. A number is never
/// given twice.
Plan make_plan(const Experiment& experiment, const std::vector<Task>& tasks, const Capacity& capacity,
               const std::vector<NumberedTask>& earlier = {});

/// Throws Error(resources) for the first refused task, and says how many there are.
void require_no_refusal(const Plan& plan);

std::string plan_to_json(const Plan& plan);

/// All numbers given so far, retired ones too; none where the file does not exist. Throws Error(storage)
/// where it is damaged.
std::vector<NumberedTask> read_plan_numbers(const std::filesystem::path& plan_file);

}  // namespace muster
