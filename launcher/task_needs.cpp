#include "launcher/task_needs.hpp"

#include <system_error>
#include <utility>

namespace muster {

namespace {

using Clock = std::chrono::steady_clock;

/// A network file system shows another host's files as late as that.
constexpr auto kSeenWithin = std::chrono::seconds(60);

/// By listing the folder, which a network file system asks its server for; a name that was once missing it
/// may remember.
bool is_done(const TaskPaths& task) {
  std::error_code error;
  for (std::filesystem::directory_iterator item(task.folder(), error), end; !error && item != end;
       item.increment(error)) {
    if (item->path().filename() == task.done().filename()) return true;
  }
  return false;
}

NeedsView view_of(const SupervisedTask& needed) {
  if (needed.state == TaskState::done) return {};
  if (needed.phase != TaskPhase::over) return {NeedsState::open, ""};
  const bool failed = needed.state == TaskState::failed || needed.state == TaskState::blocked;
  const bool cancelled = needed.cancelled != StopSignals::Request::none;
  return {failed      ? NeedsState::failed
          : cancelled ? NeedsState::cancelled
                      : NeedsState::stopped,
          needs_text(needed.name, needed.state)};
}

}  // namespace

std::string needs_text(const std::string& name, TaskState state) {
  return "needs " + name + ", which " +
         (state == TaskState::failed    ? "failed"
          : state == TaskState::blocked ? "is blocked"
                                        : "was not done");
}

TaskNeeds::TaskNeeds(ExperimentPaths experiment, bool in_job)
    : experiment_(std::move(experiment)),
      look_until_(Clock::now() + (in_job ? Clock::duration(kSeenWithin) : Clock::duration::zero())) {}

NeedsView TaskNeeds::look(const SupervisedTask& task, const std::vector<SupervisedTask>& tasks) {
  if (task.task.needs.empty()) return {};
  if (index_.empty()) {
    for (std::size_t i = 0; i < tasks.size(); ++i) index_[tasks[i].task.folder_name()] = i;
  }
  NeedsView worst;
  for (const std::string& folder : task.task.needs) {
    const auto own = index_.find(folder);
    NeedsView view = own == index_.end() ? look_elsewhere(folder) : view_of(tasks[own->second]);
    if (view.state > worst.state) worst = std::move(view);
  }
  return worst;
}

NeedsView TaskNeeds::look_elsewhere(const std::string& folder) const {
  if (is_done(experiment_.task(folder))) return {};
  if (Clock::now() < look_until_) return {NeedsState::open, ""};
  return {NeedsState::failed, "needs '" + folder + "', which is not done"};
}

}  // namespace muster
