#include "launcher/run_display.hpp"

#include <array>
#include <utility>

namespace muster {

namespace {

/// As many as a terminal shows without losing the log above them.
constexpr std::size_t kShownTasks = 16;

std::string line_of(const SupervisedTask& task) {
  const std::string progress = task.gang ? task.gang->progress.text() : "";
  std::string line = task.name + "  " + (progress.empty() ? to_string(task.state) : progress);
  if (task.asked_to_stop) line += "  (stopping)";
  if (task.phase == TaskPhase::followed) line += "  (another run's)";
  return line;
}

bool has_gang(const SupervisedTask& task) {
  return task.phase == TaskPhase::active || task.phase == TaskPhase::followed;
}

}  // namespace

std::string counts_text(const std::vector<SupervisedTask>& tasks) {
  constexpr std::array kOrder = {TaskState::done,    TaskState::failed,  TaskState::stopped,
                                 TaskState::blocked, TaskState::running, TaskState::starting,
                                 TaskState::pending};
  std::string text;
  for (const TaskState state : kOrder) {
    int number = 0;
    for (const SupervisedTask& task : tasks) number += task.state == state ? 1 : 0;
    if (number > 0) text += (text.empty() ? "" : ", ") + std::to_string(number) + " " + to_string(state);
  }
  return text;
}

void RunDisplay::update(const std::vector<SupervisedTask>& tasks) {
  if (console_.mode() == Console::Mode::plain) print_plain(tasks);
  if (console_.mode() != Console::Mode::live) return;
  std::vector<std::string> lines;
  for (const SupervisedTask& task : tasks) {
    if (has_gang(task) && lines.size() < kShownTasks) lines.push_back(line_of(task));
  }
  lines.push_back(counts_text(tasks));
  console_.show(lines);
}

void RunDisplay::print_plain(const std::vector<SupervisedTask>& tasks) {
  if (std::chrono::steady_clock::now() < next_plain_) return;
  next_plain_ = std::chrono::steady_clock::now() + kPlainEvery;
  std::vector<std::string> lines;
  for (const SupervisedTask& task : tasks) {
    if (!has_gang(task) || !task.gang || task.gang->progress.step() == task.gang->shown_step) continue;
    task.gang->shown_step = task.gang->progress.step();
    lines.push_back(line_of(task));
  }
  console_.lines(lines);
}

}  // namespace muster
