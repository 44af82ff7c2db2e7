#include "launcher/job_watch.hpp"

#include <vector>

#include "core/error.hpp"
#include "launcher/job_liveness.hpp"

namespace muster {

using Clock = std::chrono::steady_clock;

JobWatch::JobWatch(RunPaths run, std::unique_ptr<BatchSystem> system, std::chrono::seconds ask_every)
    : run_(std::move(run)), system_(std::move(system)), ask_every_(ask_every), asked_(Clock::now()) {
  jobs_ = look_at_jobs(run_, system_.get());
  for (const RunJob& job : jobs_.jobs) note(job.parts);
}

void JobWatch::refresh() {
  if (Clock::now() - asked_ < ask_every_) return;
  asked_ = Clock::now();
  jobs_ = look_at_jobs(run_, system_.get());
  by_id_.clear();
  for (const RunJob& job : jobs_.jobs) note(job.parts);
  // An element of an array is a stranger till squeue has split it off.
  for (const std::string& job : known_strangers_) {
    if (!by_id_.contains(job)) strangers_.insert(job);
  }
  known_strangers_.clear();
}

void JobWatch::note(const std::vector<JobStatus>& states) {
  for (const JobStatus& status : states) by_id_[status.own_id] = status;
}

LivenessOf JobWatch::liveness_of() {
  return [this](const ProcessIdentity& process) {
    const Liveness here = liveness(process);
    return here != Liveness::unknown || process.job.empty() ? here : by_job(process);
  };
}

Liveness JobWatch::by_job(const ProcessIdentity& process) {
  const auto found = by_id_.find(process.job);
  if (found != by_id_.end()) return liveness_in_job(found->second, process);
  if (system_ == nullptr || !jobs_.silence.empty()) return Liveness::unknown;
  for (const RunJob& job : jobs_.jobs) {
    // Of this run, and Slurm has forgotten it.
    if (job.submission.job == process.job) return Liveness::dead;
  }
  if (known_strangers_.contains(process.job)) return Liveness::dead;
  strangers_.insert(process.job);
  return Liveness::unknown;
}

bool JobWatch::resolve_strangers() {
  if (strangers_.empty() || system_ == nullptr) return false;
  try {
    note(system_->states({strangers_.begin(), strangers_.end()}));
  } catch (const Error&) {
    // They stay unknown.
    return false;
  }
  known_strangers_.merge(strangers_);
  strangers_.clear();
  return true;
}

}  // namespace muster
