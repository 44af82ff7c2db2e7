#include "launcher/run_driver.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "core/durable_file.hpp"
#include "core/journal.hpp"
#include "core/unix_time.hpp"
#include "launcher/attempt_ledger.hpp"
#include "launcher/gang_programs.hpp"
#include "launcher/host_health.hpp"
#include "launcher/local_allocation.hpp"
#include "launcher/run_display.hpp"
#include "launcher/run_folder.hpp"
#include "launcher/run_log.hpp"
#include "launcher/run_summary.hpp"
#include "launcher/run_tasks.hpp"
#include "launcher/slurm_allocation.hpp"
#include "launcher/stop_signals.hpp"
#include "launcher/successor.hpp"
#include "launcher/supervisor.hpp"
#include "launcher/task_on_disk.hpp"
#include "launcher/tasks_text.hpp"

namespace muster {

namespace {

using Clock = std::chrono::steady_clock;
using Request = StopSignals::Request;

constexpr auto kTick = std::chrono::milliseconds(100);
constexpr auto kIndexEvery = std::chrono::seconds(2);
/// Of thousands of tasks the index takes long to write: it gets this part of the launcher's time at most.
constexpr int kIndexShare = 20;
constexpr auto kLookForSuccessorEvery = std::chrono::seconds(1);

void write_index(const RunPaths& run, const std::vector<SupervisedTask>& tasks) {
  write_sweep_index(run.sweep_h5(), run.summary_csv(), sweep_entries(summarize(tasks)));
}

/// Names each failed task with its cause and where its log is, and what it blocks.
void print_failures(const std::vector<SupervisedTask>& tasks) {
  std::vector<int> blocked;
  for (const SupervisedTask& task : tasks) {
    if (task.state == TaskState::blocked) blocked.push_back(task.number);
    if (task.state != TaskState::failed) continue;
    std::fprintf(stderr, "muster: %s failed: %s\n        log: %s\n", task.name.c_str(), task.reason.c_str(),
                 AttemptPaths(task.paths.attempt(task.attempt)).log().c_str());
  }
  if (!blocked.empty())
    std::fprintf(stderr, "muster: blocked, since what they need is not done: %s\n",
                 tasks_text(blocked).c_str());
}

int count(const std::vector<SupervisedTask>& tasks, TaskState state) {
  return static_cast<int>(
      std::count_if(tasks.begin(), tasks.end(), [&](const auto& task) { return task.state == state; }));
}

void note_done_before(RunLog& log, const std::vector<SupervisedTask>& tasks) {
  constexpr int kNamed = 10;
  int done = 0;
  std::string names;
  for (const SupervisedTask& task : tasks) {
    if (!task.was_done) continue;
    if (++done <= kNamed) names += (names.empty() ? "" : ", ") + task.name;
  }
  if (done == 0) return;
  if (done > kNamed) names += " and " + std::to_string(done - kNamed) + " more";
  log.note("done already and skipped: " + names);
}

/// Grows with every task that is done and every checkpoint.
std::int64_t what_is_kept(const std::vector<SupervisedTask>& tasks) {
  constexpr std::int64_t kMoreThanSteps = std::int64_t{1} << 40;
  std::int64_t sum = 0;
  for (const SupervisedTask& task : tasks) {
    const TaskOnDisk disk = look_at_task(task.paths);
    sum += disk.done ? kMoreThanSteps : disk.checkpoint_step.value_or(0);
  }
  return sum;
}

/// A task that nobody has tried, or whose launcher still holds it, has something before it. One that needs
/// others may be blocked.
bool may_be_over(const RunToDrive& run, const ListedTask& listed) {
  const TaskPaths task = run.experiment.task(listed.folder);
  if (std::filesystem::exists(task.done())) return true;
  if (highest_attempt(task) == 0 && listed.needs.empty()) return false;
  ProcessIdentity holder;
  return holder_of(run.paths, holder, part_of(listed.number)) == RunHolder::nobody;
}

/// Once nothing of a run is left to do, by whichever of its launchers saw to the last task.
void write_index_if_over(const RunToDrive& run) {
  // From the back, since most jobs of an array end before the last task's: those are spared all the journals.
  const std::vector<ListedTask> listed = read_listed_tasks(run.paths);
  const bool any_left = std::any_of(listed.rbegin(), listed.rend(),
                                    [&](const ListedTask& task) { return !may_be_over(run, task); });
  if (any_left) return;
  const auto tasks = look_at_tasks(run.experiment, read_run_tasks(run.paths),
                                   fold(read_journal(run.paths.journal_folder())));
  const bool over = std::all_of(tasks.begin(), tasks.end(), [](const SupervisedTask& task) {
    return task.state == TaskState::done || task.state == TaskState::failed ||
           task.state == TaskState::blocked;
  });
  if (over) write_index(run.paths, tasks);
}

/// How the driving of a run ended.
struct End {
  Request request = Request::none;
  bool superseded = false;
  bool time_was_short = false;
};

class Driver {
 public:
  Driver(const RunToDrive& run, Place& place, const DriveOptions& options)
      : run_(run),
        options_(options),
        lines_to_(options.json ? STDERR_FILENO : STDOUT_FILENO),
        console_(lines_to_, options.quiet ? Console::Mode::quiet : Console::mode_for(lines_to_)),
        told_(read_journal(run.paths.journal_folder())),
        known_(fold(told_)),
        journal_(run.paths.launcher_journal(options.part, run.claim->number())),
        log_(run.paths.log(options.part), console_),
        supervisor_(run.experiment, run.plan, known_, journal_, log_, *place.allocation) {
    int cpus = 0, gpus = 0;
    for (const Slots& host : place.allocation->slots()) {
      cpus += static_cast<int>(host.cpus.size());
      gpus += static_cast<int>(host.gpus.size());
    }
    const std::string where =
        place.job ? " in job " + place.job->id + " on " + std::to_string(place.job->hosts.size()) + " hosts"
                  : "";
    log_.note((run.is_new ? "new run " : "going on with run ") + run.paths.folder().string() + where + ": " +
              std::to_string(run.plan.tasks.size()) + (run.plan.tasks.size() == 1 ? " task, " : " tasks, ") +
              std::to_string(cpus) + " CPUs, " + std::to_string(gpus) + " GPUs");
  }

  End drive() {
    StopSignals signals;
    RunDisplay display(console_);
    Request told = Request::none;
    bool index_is_old = true;
    auto next_index = Clock::now();
    auto next_look = Clock::now();
    supervisor_.look();
    supervisor_.avoid(hosts_given_up(told_, unix_now()));
    note_done_before(log_, supervisor_.tasks());
    kept_before_ = what_is_kept(supervisor_.tasks());
    while (true) {
      if (Clock::now() >= next_look) {
        if (run_.claim->superseded()) {
          supervisor_.abandon();
          return {signals.request(), true, false};
        }
        supervisor_.cancel(read_cancels(run_.paths));
        next_look = Clock::now() + kLookForSuccessorEvery;
      }
      index_is_old = supervisor_.tick(signals.request()) || index_is_old;
      if (signals.request() != told) {
        told = signals.request();
        log_.note(told == Request::kill     ? "killing what runs"
                  : signals.time_is_short() ? "the job is about to end: saving and stopping what runs"
                                            : "saving and stopping what runs; Ctrl-C again kills it");
      }
      if (supervisor_.finished(signals.request())) break;
      if (signals.request() == Request::none && supervisor_.out_of_time()) {
        log_.note("the job ends too soon for any task that waits");
        break;
      }
      display.update(supervisor_.tasks());
      if (options_.part.empty() && index_is_old && Clock::now() >= next_index) {
        const auto began = Clock::now();
        write_index(run_.paths, supervisor_.tasks());
        index_is_old = false;
        next_index =
            Clock::now() + std::max<Clock::duration>(kIndexEvery, kIndexShare * (Clock::now() - began));
      }
      signals.wait(kTick);
    }
    console_.show({});
    if (options_.part.empty()) write_index(run_.paths, supervisor_.tasks());
    return {signals.request(), false, signals.time_is_short() || signals.request() == Request::none};
  }

  /// Tasks are left that another job could go on with, and this one has brought something.
  bool leaves_work(const End& end) {
    const auto& tasks = supervisor_.tasks();
    const bool any_left = std::any_of(tasks.begin(), tasks.end(), [](const SupervisedTask& task) {
      return (task.state == TaskState::stopped || task.state == TaskState::pending) &&
             task.cancelled == Request::none;
    });
    if (!end.time_was_short || !any_left) return false;
    if (what_is_kept(tasks) > kept_before_) return true;
    log_.note("this job was too short to finish a task or to reach a checkpoint: ask for more time");
    return false;
  }

  ExitCode conclude(const End& end) {
    const auto& tasks = supervisor_.tasks();
    const ExitCode code = exit_code(end.request);
    log_.note(
        "run " + run_.paths.folder().filename().string() + ": " +
        std::to_string(count(tasks, TaskState::done)) + " of " + std::to_string(tasks.size()) +
        " tasks done" +
        (code == ExitCode::stopped || code == ExitCode::interrupted ? "; the same command goes on" : ""));
    const auto summaries = summarize(tasks);
    std::fputs(
        (options_.json ? summary_json(run_.paths.folder(), summaries) : summary_table(summaries)).c_str(),
        stdout);
    std::fflush(stdout);
    print_failures(tasks);
    return code;
  }

  RunLog& log() { return log_; }

 private:
  ExitCode exit_code(Request request) const {
    const auto& tasks = supervisor_.tasks();
    if (count(tasks, TaskState::done) == static_cast<int>(tasks.size())) return ExitCode::ok;
    if (request == Request::kill) return ExitCode::interrupted;
    if (request == Request::save_and_stop) return ExitCode::stopped;
    return count(tasks, TaskState::failed) + count(tasks, TaskState::blocked) > 0 ? ExitCode::task_failed
                                                                                  : ExitCode::stopped;
  }

  const RunToDrive& run_;
  const DriveOptions& options_;
  int lines_to_;
  Console console_;
  std::vector<JournalEntry> told_;  ///< by the launchers before
  std::map<std::string, JournalEntry> known_;
  Journal journal_;
  RunLog log_;
  Supervisor supervisor_;
  std::int64_t kept_before_ = 0;
};

}  // namespace

std::string part_of(int task) { return "task-" + std::to_string(task); }

Place find_place(std::optional<int> cpus, std::optional<int> gpus, const std::filesystem::path& known) {
  Place place;
  if (!cpus && !gpus) place.job = own_job();
  if (!place.job) {
    place.liveness_of = make_job_liveness(nullptr);
    place.allocation = std::make_unique<LocalAllocation>(
        LocalAllocationOptions{local_slots(cpus, gpus), program_folder(), std::filesystem::current_path()});
    return place;
  }
  const bool is_known = !known.empty() && std::filesystem::exists(known);
  const SlurmCapabilities capabilities = is_known ? capabilities_from_json(read_text(known)) : probe_slurm();
  place.system = make_slurm(capabilities);
  place.liveness_of = make_job_liveness(place.system.get());
  place.allocation = std::make_unique<SlurmAllocation>(SlurmAllocationOptions{
      *place.job, capabilities, place.liveness_of, program_folder(), std::filesystem::current_path()});
  return place;
}

int drive_run(RunToDrive run, Place& place, const DriveOptions& options) {
  ExitCode code = ExitCode::ok;
  bool goes_on = false;
  {
    Driver driver(run, place, options);
    const End end = driver.drive();
    if (end.superseded) {
      throw Error(ExitCode::busy,
                  "another launcher took this one for dead and drives the run now (" +
                      run.paths.folder().string() + "); the gangs of this one were ended",
                  "nothing is to be done: what they had kept goes on there");
    }
    goes_on = place.job && driver.leaves_work(end);
    code = driver.conclude(end);
    if (goes_on) driver.log().note("asking Slurm to go on with what is left");
  }
  run.claim.reset();
  // Given up first: of two that end at once, the one that looks last sees both.
  if (!options.part.empty()) write_index_if_over(run);
  if (goes_on) {
    std::printf("%s\n", go_on_in_another_job(run.paths, *place.job, *place.system).c_str());
    std::fflush(stdout);
  }
  return static_cast<int>(code);
}

}  // namespace muster
