#include "launcher/job_liveness.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "core/error.hpp"

namespace muster {

namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kAskEvery = std::chrono::seconds(30);

/// What Slurm last said of the jobs that anybody asked for.
class JobsAsked {
 public:
  explicit JobsAsked(BatchSystem& system) : system_(system) {}

  /// nullopt where the controller does not answer; a job that it does not know has phase ended.
  std::optional<JobStatus> status(const std::string& job) {
    const bool is_new = jobs_.insert(job).second;
    if (is_new || !asked_ || Clock::now() - *asked_ > kAskEvery) ask();
    if (!answered_) return std::nullopt;
    const auto found = answers_.find(job);
    return found == answers_.end() ? std::nullopt : std::optional(found->second);
  }
  bool answered() const { return answered_; }

 private:
  void ask() {
    asked_ = Clock::now();
    try {
      answers_.clear();
      for (const JobStatus& status : system_.states({jobs_.begin(), jobs_.end()})) {
        answers_[status.own_id] = status;
        if (status.array_task.empty()) answers_[status.job] = status;
      }
      answered_ = true;
    } catch (const Error&) {
      answered_ = false;
    }
  }

  BatchSystem& system_;
  std::set<std::string> jobs_;
  std::map<std::string, JobStatus> answers_;
  std::optional<Clock::time_point> asked_;
  bool answered_ = false;
};

Liveness by_job(const ProcessIdentity& process, JobsAsked& jobs) {
  const auto status = jobs.status(process.job);
  if (!status) return jobs.answered() ? Liveness::dead : Liveness::unknown;
  return liveness_in_job(*status, process);
}

}  // namespace

Liveness liveness_in_job(const JobStatus& status, const ProcessIdentity& process) {
  if (status.restarts > process.job_restarts) return Liveness::dead;
  switch (phase_of(status.state)) {
    case JobPhase::pending:
    case JobPhase::ended:
      return Liveness::dead;
    case JobPhase::running:
    case JobPhase::completing:
      return Liveness::alive;
    case JobPhase::unknown:
      break;
  }
  return Liveness::unknown;
}

LivenessOf make_job_liveness(BatchSystem* system) {
  const auto jobs = system == nullptr ? nullptr : std::make_shared<JobsAsked>(*system);
  return [jobs](const ProcessIdentity& process) {
    const Liveness here = liveness(process);
    if (here != Liveness::unknown || process.job.empty()) return here;
    const ProcessIdentity own = own_identity();
    // Slurm starts a job again only once it has given up what ran of it before.
    if (process.job == own.job && process.job_restarts < own.job_restarts) return Liveness::dead;
    return jobs == nullptr ? here : by_job(process, *jobs);
  };
}

}  // namespace muster
