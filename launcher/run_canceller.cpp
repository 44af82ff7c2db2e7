#include "launcher/run_canceller.hpp"

#include <algorithm>
#include <thread>

#include "core/error.hpp"
#include "launcher/run_jobs.hpp"

namespace muster {

namespace {

using Clock = std::chrono::steady_clock;

/// What is to be ended, by the name that scancel takes.
struct Target {
  std::string job;
  std::string was;
  bool runs = false;
};

bool over(const JobStatus& status) { return phase_of(status.state) == JobPhase::ended; }

bool runs(const JobStatus& status) {
  const JobPhase phase = phase_of(status.state);
  return phase == JobPhase::running || phase == JobPhase::completing;
}

RunJobs look(const RunPaths& run, BatchSystem& system) {
  RunJobs jobs = look_at_jobs(run, &system);
  if (jobs.silence.empty()) return jobs;
  throw Error(ExitCode::busy, "the jobs of this run cannot be ended: " + jobs.silence, "try again later");
}

void add_element(const RunJob& job, int number, std::vector<Target>& targets) {
  const JobStatus* part = job.of_task(number);
  if (part == nullptr || over(*part)) return;
  if (job.submission.kind == SubmissionKind::pack && job.submission.tasks.size() > 1) {
    throw Error(ExitCode::usage,
                "task-" + std::to_string(number) + " shares job " + *job.submission.job + " with " +
                    std::to_string(job.submission.tasks.size() - 1) + " others",
                "cancel the run without --task");
  }
  std::string id = *job.submission.job;
  if (job.submission.kind == SubmissionKind::array) id += "_" + std::to_string(number - job.submission.first);
  targets.push_back({id, words_of(*part), runs(*part)});
}

std::vector<Target> living(const RunJobs& jobs, const std::optional<int>& task) {
  std::vector<Target> targets;
  for (const RunJob& job : jobs.jobs) {
    if (!job.lives()) continue;
    if (task) {
      add_element(job, *task, targets);
      continue;
    }
    const auto running = std::find_if(job.parts.begin(), job.parts.end(), runs);
    const auto any =
        std::find_if(job.parts.begin(), job.parts.end(), [](const JobStatus& part) { return !over(part); });
    const bool one_runs = running != job.parts.end();
    targets.push_back({*job.submission.job, words_of(one_runs ? *running : *any), one_runs});
  }
  return targets;
}

bool is_among(const std::string& job, const std::vector<Target>& targets) {
  return std::any_of(targets.begin(), targets.end(), [&](const Target& target) { return target.job == job; });
}

class Canceller {
 public:
  Canceller(const RunPaths& run, const CancelWish& wish, BatchSystem& system,
            const std::function<void(const std::string&)>& tell)
      : run_(run), wish_(wish), system_(system), tell_(tell) {}

  std::vector<CancelledJob> run() {
    std::vector<Target> left = living(look(run_, system_), wish_.task);
    note(left);
    if (!wish_.now) left = ask_to_stop(left);
    const auto until = Clock::now() + wish_.longest_end;
    while (!left.empty()) {
      cancel(left);
      if (Clock::now() > until) {
        throw Error(ExitCode::busy,
                    "job " + left.front().job + " was cancelled and still " + left.front().was,
                    "look with 'squeue --me'; a node that does not answer ends it later");
      }
      std::this_thread::sleep_for(wish_.look_every);
      left = living(look(run_, system_), wish_.task);
      note(left);
    }
    return ended_;
  }

 private:
  void note(const std::vector<Target>& targets) {
    for (const Target& target : targets) {
      const bool known = std::any_of(ended_.begin(), ended_.end(),
                                     [&](const CancelledJob& job) { return job.job == target.job; });
      if (!known) ended_.push_back({target.job, target.was, true});
    }
  }

  std::vector<Target> ask_to_stop(const std::vector<Target>& targets) {
    for (const Target& target : targets) {
      tell_("job " + target.job + " " + target.was +
            (target.runs ? ": asked to save and stop" : ": taken out of the queue"));
      system_.ask_to_stop(target.job);
    }
    const auto until = Clock::now() + wish_.patience;
    std::vector<Target> left = targets;
    while (!left.empty() && Clock::now() < until) {
      std::this_thread::sleep_for(wish_.look_every);
      left = living(look(run_, system_), wish_.task);
      // One that came back into the queue, or a successor, was not asked; what is asked twice saves once.
      for (const Target& target : left) {
        if (!is_among(target.job, targets)) system_.ask_to_stop(target.job);
      }
      note(left);
    }
    return left;
  }

  void cancel(const std::vector<Target>& targets) {
    for (const Target& target : targets) {
      const auto known = std::find_if(ended_.begin(), ended_.end(),
                                      [&](const CancelledJob& job) { return job.job == target.job; });
      if (known == ended_.end() || !known->saved) continue;
      known->saved = false;
      tell_("job " + target.job + " " + target.was + ": cancelled");
      system_.cancel(target.job);
    }
  }

  const RunPaths& run_;
  const CancelWish& wish_;
  BatchSystem& system_;
  const std::function<void(const std::string&)>& tell_;
  std::vector<CancelledJob> ended_;
};

}  // namespace

std::vector<CancelledJob> cancel_jobs(const RunPaths& run, const CancelWish& wish, BatchSystem& system,
                                      const std::function<void(const std::string&)>& tell) {
  return Canceller(run, wish, system, tell).run();
}

}  // namespace muster
