#include "launcher/supervisor.hpp"

#include <algorithm>
#include <utility>

#include "core/durable_file.hpp"
#include "core/error.hpp"
#include "core/unix_time.hpp"
#include "launcher/task_outputs.hpp"

namespace muster {

namespace {

using Clock = std::chrono::steady_clock;
using Request = StopSignals::Request;

/// Others' tasks change rarely, and their folders may be on a slow shared file system.
constexpr auto kLookAtOthersEvery = std::chrono::milliseconds(500);

/// The end of a gang wakes the launcher at once; with hundreds of gangs their logs must not be read each
/// time.
constexpr auto kLookAtLinesEvery = std::chrono::milliseconds(100);

/// Slurm makes the steps of a job one after the other. What comes in a crowd it refuses, and srun then asks
/// ever more rarely: of 4,000 starts at once on 1,000 nodes, 2,900 stood still while the nodes were idle.
constexpr std::size_t kMostStarts = 64;

/// After which a gang that listens has seen the stop file, unless its file system hides it.
constexpr auto kFileIsFoundWithin = std::chrono::milliseconds(1500);

/// Of an allocation's end: to start ranks, save and end them takes as long.
constexpr double kLeastUsefulSeconds = 30;

}  // namespace

Supervisor::Supervisor(const ExperimentPaths& experiment, const Plan& plan,
                       const std::map<std::string, JournalEntry>& known, Journal& journal, RunLog& log,
                       Allocation& allocation)
    : journal_(journal),
      log_(log),
      allocation_(allocation),
      packer_(allocation.slots()),
      needs_(experiment, !own_identity().job.empty()) {
  for (const PlannedTask& planned : plan.tasks) {
    SupervisedTask task = supervised(planned, experiment);
    const auto entry = known.find(planned.task.folder_name());
    if (entry != known.end()) {
      task.journaled = to_string(entry->second.state);
      task.journaled_attempt = entry->second.attempt;
    }
    tasks_.push_back(std::move(task));
  }
}

void Supervisor::look() {
  for (SupervisedTask& task : tasks_) settle(task);
  carry_out();
}

void Supervisor::carry_out() {
  if (announced_.empty()) return;
  journal_.sync();
  const auto announced = std::exchange(announced_, {});
  for (const auto& deed : announced) deed();
}

bool Supervisor::tick(Request request) {
  changed_ = false;
  const bool look_at_others = Clock::now() >= next_look_at_others_;
  if (look_at_others) next_look_at_others_ = Clock::now() + kLookAtOthersEvery;
  look_at_lines_ = Clock::now() >= next_look_at_lines_;
  if (look_at_lines_) next_look_at_lines_ = Clock::now() + kLookAtLinesEvery;
  for (SupervisedTask& task : tasks_) {
    if (task.phase == TaskPhase::followed && look_at_others) {
      pass_on_lines(task, false);
      settle(task);
    }
    if (task.phase == TaskPhase::active) watch(task);
    if (task.phase == TaskPhase::unsettled) settle(task);
  }
  if (request == Request::none) {
    look_at_needs();
    start_waiting();
  }
  carry_out();
  for (SupervisedTask& task : tasks_) {
    const Request wanted = std::max(request, task.cancelled);
    if (wanted != Request::none && task.phase == TaskPhase::active) stop(task, wanted);
  }
  return changed_;
}

bool Supervisor::finished(Request request) const {
  return std::all_of(tasks_.begin(), tasks_.end(), [&](const SupervisedTask& task) {
    if (task.phase == TaskPhase::active || task.phase == TaskPhase::unsettled) return false;
    return request != Request::none || task.phase == TaskPhase::over;
  });
}

bool Supervisor::out_of_time() const {
  bool waits = false, waits_for_others = false, others_run = false;
  for (const SupervisedTask& task : tasks_) {
    if (task.phase == TaskPhase::active || task.phase == TaskPhase::unsettled) return false;
    others_run = others_run || task.phase == TaskPhase::followed;
    if (task.phase != TaskPhase::waiting) continue;
    if (task.has_needs && has_time_for(task)) return false;
    waits = true;
    waits_for_others = waits_for_others || !task.has_needs;
  }
  // What another run works on may be what a task needs.
  return waits && !(waits_for_others && others_run);
}

void Supervisor::cancel(const TaskCancels& cancels) {
  for (SupervisedTask& task : tasks_) {
    const auto wanted = cancels.find(task.number);
    if (wanted == cancels.end() || task.phase == TaskPhase::over) continue;
    if (task.cancelled == Request::none) log_.note(task.name + " was cancelled");
    task.cancelled = wanted->second;
    if (task.phase != TaskPhase::waiting) continue;
    task.reason = "cancelled";
    enter(task, TaskPhase::over, TaskState::stopped);
  }
}

void Supervisor::abandon() {
  for (SupervisedTask& task : tasks_) {
    if (task.phase == TaskPhase::active && task.claimant) allocation_.end(*task.claimant);
  }
}

bool Supervisor::has_time_for(const SupervisedTask& task) const {
  const auto deadline = allocation_.deadline();
  // The first tasks of an allocation start whatever is known of them: there will never be more time.
  if (!deadline || !started_any_) return true;
  const double left = *deadline - unix_now();
  const auto of_another = gains_.find(task.task.stage);
  const double needed = task.first_gain > 0          ? task.first_gain
                        : of_another == gains_.end() ? 0
                                                     : of_another->second;
  return left > std::max(needed, kLeastUsefulSeconds);
}

void Supervisor::settle(SupervisedTask& task) {
  if (std::filesystem::exists(task.paths.done())) {
    task.was_done = task.phase == TaskPhase::unsettled && task.attempt == 0;
    task.attempt = highest_attempt(task.paths);
    if (!task.was_done) log_.note(task.name + " is done");
    enter(task, TaskPhase::over, TaskState::done);
    return;
  }
  const AttemptView view =
      newest_attempt(task.paths, [this](const auto& who) { return allocation_.alive(who); });
  const bool is_new = view.number != task.attempt;
  task.attempt = view.number;
  switch (view.phase) {
    case AttemptPhase::none:
    case AttemptPhase::voided:
      enter(task, TaskPhase::waiting, TaskState::pending);
      break;
    case AttemptPhase::abandoned:
      // Whoever wins, the next look tells: the claim is there either way.
      void_attempt(task.paths, view.number);
      enter(task, TaskPhase::unsettled, task.state);
      break;
    case AttemptPhase::coming_up:
    case AttemptPhase::elsewhere:
    case AttemptPhase::running:
      if (view.phase == AttemptPhase::running && !is_anothers(view)) {
        adopt(task, view);
      } else if (is_new || task.phase != TaskPhase::followed) {
        follow_other(task, view);
      }
      break;
    case AttemptPhase::vanished:
    case AttemptPhase::ended:
      settle_ended(task, view);
      break;
  }
}

void Supervisor::settle_ended(SupervisedTask& task, const AttemptView& view) {
  if (is_anothers(view)) {
    // Its launcher will do the books, or try again.
    if (task.phase != TaskPhase::followed) follow_other(task, view);
    return;
  }
  const bool was_ours =
      task.journaled_attempt == view.number &&
      (task.journaled == to_string(TaskState::starting) || task.journaled == to_string(TaskState::running));
  if (was_ours || (view.exit && view.exit->exit_code == 0)) {
    log_.note(task.name + ": attempt " + std::to_string(view.number) + " ended while no launcher watched");
    begin_following(task);
    pass_on_lines(task, true);
    task.adopted = true;
    finish(task, view);
    return;
  }
  clear_away(task, view);
  // Else those that need it would look blocked till it begins.
  if (task.journaled == to_string(TaskState::failed) && task.journaled_attempt == view.number)
    record(task, view.number + 1, TaskState::pending, 0, "tried again by a new launcher");
  enter(task, TaskPhase::waiting, TaskState::pending);
}

void Supervisor::adopt(SupervisedTask& task, const AttemptView& view) {
  task.adopted = true;
  task.claimant = view.claimant;
  task.assignment =
      packer_.adopt({view.order ? view.order->ranks : std::vector<RankPlace>{}}, task.task.resources);
  log_.note(task.name + ": attempt " + std::to_string(view.number) + " still runs (process " +
            std::to_string(view.claimant->pid) + "); following it");
  begin_following(task);
  record(task, task.attempt, TaskState::running, 0, "taken over from an earlier launcher");
  enter(task, TaskPhase::active, TaskState::running);
}

void Supervisor::follow_other(SupervisedTask& task, const AttemptView& view) {
  const std::string who = "process " + std::to_string(view.claimant ? view.claimant->pid : 0) + " on " +
                          (view.claimant ? view.claimant->host : "an unknown host");
  task.reason = "attempt " + std::to_string(view.number) + " is another run's: " + who;
  std::string text = task.name + ": " + task.reason + "; following it";
  if (view.phase == AttemptPhase::elsewhere) {
    text += " (that host cannot be asked from here; if the process is gone, remove " +
            task.paths.claim(view.number).string() + ")";
  }
  log_.note(text);
  begin_following(task);
  enter(task, TaskPhase::followed, TaskState::running);
}

void Supervisor::watch(SupervisedTask& task) {
  if (look_at_lines_) pass_on_lines(task, false);
  // Its files are worth reading again when its shim has ended, or when nobody here can tell.
  const auto lives = allocation_.shim_lives(AttemptPaths(task.paths.attempt(task.attempt)));
  if (task.claimant && lives.value_or(false)) return;
  const AttemptView view = view_of(task);
  switch (view.phase) {
    case AttemptPhase::running:
      if (task.claimant) break;
      task.claimant = view.claimant;
      record(task, task.attempt, TaskState::running);
      enter(task, TaskPhase::active, TaskState::running);
      break;
    case AttemptPhase::ended:
    case AttemptPhase::vanished:
      pass_on_lines(task, true);
      finish(task, view);
      break;
    case AttemptPhase::coming_up:
      watch_coming_up(task);
      break;
    case AttemptPhase::none:
    case AttemptPhase::abandoned:
    case AttemptPhase::elsewhere:
    case AttemptPhase::voided:
      // Somebody else decided over this attempt, or removed it.
      if (task.assignment) packer_.release(*task.assignment, task.task.resources.exclusive);
      task.assignment.reset();
      enter(task, TaskPhase::unsettled, TaskState::pending);
      break;
  }
}

void Supervisor::watch_coming_up(SupervisedTask& task) {
  const auto exit_code = allocation_.failed_start(AttemptPaths(task.paths.attempt(task.attempt)));
  if (!exit_code || std::filesystem::exists(task.paths.claim(task.attempt))) return;
  // A full disk shows here as an error of ours.
  void_attempt(task.paths, task.attempt);
  packer_.release(*task.assignment, task.task.resources.exclusive);
  task.assignment.reset();
  conclude_failure(task, {Ending::failed, *exit_code, true,
                          "muster-shim could not start (exit code " + std::to_string(*exit_code) + ")"});
}

void Supervisor::look_at_needs() {
  // Whoever is needed stands before those that need it: one pass is enough.
  for (SupervisedTask& task : tasks_) {
    if (task.phase != TaskPhase::waiting || task.task.needs.empty()) continue;
    const NeedsView view = needs_.look(task, tasks_);
    task.has_needs = view.state == NeedsState::done;
    if (task.has_needs || view.state == NeedsState::open) continue;
    task.reason = view.reason;
    if (view.state == NeedsState::cancelled) task.cancelled = Request::save_and_stop;
    const bool blocked = view.state == NeedsState::failed;
    if (blocked) log_.note(task.name + " is blocked: it " + view.reason);
    enter(task, TaskPhase::over, blocked ? TaskState::blocked : TaskState::pending);
  }
}

void Supervisor::start_waiting() {
  std::vector<Packer::Waiting> queue;
  std::vector<SupervisedTask*> waiting;
  for (SupervisedTask& task : tasks_) {
    if (task.phase != TaskPhase::waiting || !task.has_needs || !has_time_for(task)) continue;
    if (task.cancelled != Request::none) continue;
    if (task.not_before && Clock::now() < *task.not_before) continue;
    queue.push_back({task.name, task.task.resources});
    waiting.push_back(&task);
  }
  if (queue.empty()) return;
  for (const auto& [index, assignment] : packer_.place(queue, room_for_starts()))
    start(*waiting[index], assignment);
}

std::size_t Supervisor::room_for_starts() {
  std::size_t under_way = 0;
  for (SupervisedTask& task : tasks_) {
    if (task.phase != TaskPhase::active || task.came_up) continue;
    task.came_up = allocation_.came_up(task.task, AttemptPaths(task.paths.attempt(task.attempt)));
    under_way += task.came_up ? 0 : 1;
  }
  return kMostStarts - std::min(kMostStarts, under_way);
}

void Supervisor::start(SupervisedTask& task, const Assignment& assignment) {
  // Counted from what was last seen: where another launcher has tried since, the number is taken, and we look
  // again.
  started_any_ = true;
  ++task.attempt;
  task.adopted = false;
  task.came_up = false;
  task.claimant.reset();
  task.assignment = assignment;
  make_folders(task.paths.folder());
  write_task(task.task, task.paths.task_file());
  const GangOrder order = allocation_.order(task.task, task.paths, task.attempt, assignment);
  if (!open_attempt(task.paths, task.attempt, order)) {
    packer_.release(assignment, task.task.resources.exclusive);
    task.assignment.reset();
    enter(task, TaskPhase::unsettled, TaskState::pending);
    return;
  }
  record(task, task.attempt, TaskState::starting);
  log_.begin_attempt(task.name, task.attempt, placement_text(order));
  begin_following(task);
  announced_.push_back(
      [this, attempt = AttemptPaths(task.paths.attempt(task.attempt))] { allocation_.start(attempt); });
  enter(task, TaskPhase::active, TaskState::starting);
}

void Supervisor::stop(SupervisedTask& task, Request request) {
  if (!task.claimant) return;
  if (!task.asked_to_stop) {
    write_durably(AttemptPaths(task.paths.attempt(task.attempt)).stop_request(), "");
    task.asked_to_stop = Clock::now();
  }
  // A signal ends mpirun and ranks that are still coming up. Ranks look for the file; the signal is for a
  // command, and for file systems that show a new file late.
  if (task.gang_listens() && !task.listens_since) task.listens_since = Clock::now();
  const bool overlooked =
      task.listens_since &&
      Clock::now() - std::max(*task.listens_since, *task.asked_to_stop) > kFileIsFoundWithin;
  if (!task.signalled_to_stop && (task.task.workload == "exec" || overlooked) && !task.gang_is_stopping()) {
    allocation_.ask_to_stop(*task.claimant);
    task.signalled_to_stop = true;
  }
  const std::chrono::duration<double> patience(task.task.policy.kill_after_seconds);
  const bool too_long = Clock::now() - *task.asked_to_stop > patience;
  if (task.told_to_end || (request != Request::kill && !too_long)) return;
  if (too_long && request != Request::kill) log_.note(task.name + " did not stop in time; ending it");
  allocation_.end(*task.claimant);
  task.told_to_end = true;
}

void Supervisor::begin_following(SupervisedTask& task) {
  task.gang = std::make_shared<FollowedGang>(AttemptPaths(task.paths.attempt(task.attempt)));
  task.asked_to_stop.reset();
  task.listens_since.reset();
  task.signalled_to_stop = false;
  task.told_to_end = false;
  const long known = log_.lines_of_attempt(task.name, task.attempt);
  task.gang->lines_to_skip = std::max(known, 0L);
  if (known < 0) log_.begin_attempt(task.name, task.attempt, "started by another launcher");
}

void Supervisor::pass_on_lines(SupervisedTask& task, bool gang_ended) {
  if (!task.gang) return;
  auto lines = gang_ended ? task.gang->log.finish() : task.gang->log.read();
  const long skipped = std::min(task.gang->lines_to_skip, static_cast<long>(lines.size()));
  lines.erase(lines.begin(), lines.begin() + skipped);
  task.gang->lines_to_skip -= skipped;
  log_.task_lines(task.name, lines);
  if (task.gang->progress.poll() && task.phase == TaskPhase::active) link_outputs(task.paths, task.attempt);
}

void Supervisor::enter(SupervisedTask& task, TaskPhase phase, TaskState state) {
  changed_ = changed_ || task.state != state || task.phase != phase;
  // Read once, here: whether there is time is asked for every waiting task at every look.
  if (phase != task.phase && allocation_.deadline()) {
    if (phase == TaskPhase::waiting) task.first_gain = seconds_to_first_gain(task.paths);
    double& gain = gains_[task.task.stage];
    if (phase == TaskPhase::over && gain <= 0) gain = seconds_to_first_gain(task.paths);
  }
  task.phase = phase;
  task.state = state;
}

void Supervisor::record(const SupervisedTask& task, int attempt, TaskState state, int exit_code,
                        const std::string& reason) {
  JournalEntry entry;
  entry.task = task.task.folder_name();
  entry.attempt = attempt;
  entry.state = state;
  entry.exit_code = exit_code;
  entry.reason = reason;
  journal_.put(entry);
}

bool Supervisor::is_anothers(const AttemptView& view) const {
  return view.order && view.order->launcher != own_identity() &&
         allocation_.alive(view.order->launcher) == Liveness::alive;
}

AttemptView Supervisor::view_of(const SupervisedTask& task) const {
  return view_attempt(task.paths, task.attempt, [this](const auto& who) { return allocation_.alive(who); });
}

}  // namespace muster
