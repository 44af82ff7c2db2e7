#pragma once
/// A batch system that answers what a test wants, for what no cluster can be made to do.

#include <functional>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "slurm/batch_system.hpp"

namespace muster::testing {

/// Notes what it was asked.
class FakeBatchSystem : public BatchSystem {
 public:
  std::string submit(const JobRequest& request) override {
    submitted.push_back(request);
    if (on_submit) return on_submit(request);
    return std::to_string(100 + submitted.size());
  }
  std::vector<JobStatus> states(const std::vector<std::string>& jobs, const std::string& token) override {
    ++questions;
    asked_jobs = jobs;
    asked_token = token;
    if (silent) throw Error(ExitCode::busy, "the controller sleeps", "wait");
    if (on_states) on_states();
    return answer;
  }
  void ask_to_stop(const std::string& job) override {
    asked_to_stop.push_back(job);
    if (on_ask_to_stop) on_ask_to_stop(job);
  }
  void cancel(const std::string& job) override {
    cancelled.push_back(job);
    if (on_cancel) on_cancel(job);
  }
  bool requeue(const std::string&) override { return false; }

  std::vector<JobStatus> answer;
  bool silent = false;
  int questions = 0;
  std::vector<std::string> asked_jobs, asked_to_stop, cancelled;
  std::string asked_token;
  std::vector<JobRequest> submitted;
  std::function<std::string(const JobRequest&)> on_submit;
  std::function<void()> on_states;
  std::function<void(const std::string&)> on_ask_to_stop, on_cancel;
};

inline JobStatus job_status(const std::string& job, const std::string& state, const std::string& comment,
                            const std::string& array_task = "") {
  JobStatus result;
  result.job = job;
  result.own_id = job;
  result.state = state;
  result.comment = comment;
  result.array_task = array_task;
  result.name = "sweep";
  return result;
}

}  // namespace muster::testing
