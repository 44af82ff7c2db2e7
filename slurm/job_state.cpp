#include "slurm/job_state.hpp"

#include <algorithm>
#include <string_view>

#include "slurm/scontrol_text.hpp"

namespace muster {
namespace {

struct StateWord {
  std::string_view word, short_word;
  JobPhase phase;
  JobEnd end = JobEnd::none;
};

/// Base states, then flags.
constexpr StateWord kStateWords[] = {
    {"PENDING", "PD", JobPhase::pending},
    {"RUNNING", "R", JobPhase::running},
    {"SUSPENDED", "S", JobPhase::running},
    {"COMPLETED", "CD", JobPhase::ended, JobEnd::completed},
    {"CANCELLED", "CA", JobPhase::ended, JobEnd::cancelled},
    {"FAILED", "F", JobPhase::ended, JobEnd::failed},
    {"TIMEOUT", "TO", JobPhase::ended, JobEnd::timeout},
    {"NODE_FAIL", "NF", JobPhase::ended, JobEnd::node_failure},
    {"PREEMPTED", "PR", JobPhase::ended, JobEnd::preempted},
    {"BOOT_FAIL", "BF", JobPhase::ended, JobEnd::boot_failure},
    {"DEADLINE", "DL", JobPhase::ended, JobEnd::deadline},
    {"OUT_OF_MEMORY", "OOM", JobPhase::ended, JobEnd::out_of_memory},
    {"COMPLETING", "CG", JobPhase::completing},
    {"CONFIGURING", "CF", JobPhase::pending},
    {"POWER_UP_NODE", "", JobPhase::pending},
    {"REQUEUED", "RQ", JobPhase::pending},
    {"REQUEUE_FED", "RF", JobPhase::pending},
    {"REQUEUE_HOLD", "RH", JobPhase::pending},
    {"RESV_DEL_HOLD", "RD", JobPhase::pending},
    {"SPECIAL_EXIT", "SE", JobPhase::pending},
    {"LAUNCH_FAILED", "", JobPhase::pending},
    {"RECONFIG_FAIL", "", JobPhase::pending},
    {"EXPEDITING", "EX", JobPhase::pending},
    {"RESIZING", "RS", JobPhase::running},
    {"SIGNALING", "SI", JobPhase::running},
    {"STAGE_OUT", "SO", JobPhase::running},
    {"STOPPED", "ST", JobPhase::running},
    {"REVOKED", "RV", JobPhase::ended, JobEnd::other},
};

std::string upper_case(std::string_view text) {
  std::string upper(text);
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  return upper;
}

const StateWord* find_word(std::string_view text, bool cut_off) {
  const StateWord* found = nullptr;
  for (const StateWord& word : kStateWords) {
    if (text == word.word || (text == word.short_word && !text.empty())) return &word;
    constexpr std::size_t kClear = 4;
    if (cut_off && text.size() >= kClear && word.word.starts_with(text) && found == nullptr) found = &word;
  }
  return found;
}

/// "COMPLETED,COMPLETING" and "CANCELLED by 1000" hold several words, "OUT_OF_ME+" half of one.
std::vector<const StateWord*> words_of(const std::string& state) {
  const std::string upper = upper_case(state.substr(0, state.find(' ')));
  std::vector<const StateWord*> words;
  std::size_t at = 0;
  while (at < upper.size()) {
    const std::size_t end = std::min(upper.find_first_of("+,", at), upper.size());
    const bool cut_off = end + 1 == upper.size() && upper[end] == '+';
    if (const StateWord* word = find_word(std::string_view(upper).substr(at, end - at), cut_off)) {
      words.push_back(word);
    }
    at = end + 1;
  }
  return words;
}

struct ReasonWords {
  std::string_view reason, words;
  bool never = false;
};

constexpr ReasonWords kReasons[] = {
    {"Resources", "waits for resources"},
    {"Priority", "waits behind jobs of higher priority"},
    {"Dependency", "waits for a job that it depends on"},
    {"DependencyNeverSatisfied", "never starts: a job that it depends on did not end well", true},
    {"BeginTime", "waits for its begin time"},
    {"Cleaning", "waits until its last start is cleaned up"},
    {"JobArrayTaskLimit", "waits: as many tasks of its array run as may at once"},
    {"JobHeldUser", "is held by its user"},
    {"JobHeldAdmin", "is held by an administrator"},
    {"JobHoldMaxRequeue", "is held: it was requeued too often"},
    {"JobLaunchFailure", "is held: it could not be launched; 'scontrol release' lets it try again"},
    {"launch_failed_requeued_held",
     "is held: it could not be launched; 'scontrol release' lets it try again"},
    {"Licenses", "waits for licenses"},
    {"NodeDown", "waits: a node that it needs is down"},
    {"PartitionDown", "waits: its partition is down"},
    {"PartitionInactive", "waits: its partition is not active"},
    {"PartitionNodeLimit", "never starts: it asks for more nodes than its partition gives", true},
    {"PartitionTimeLimit", "never starts: its time limit is longer than its partition's", true},
    {"Prolog", "waits for its nodes' prolog"},
    {"ReqNodeNotAvail", "waits: nodes that it needs are not available"},
    {"Reservation", "waits for its reservation"},
    {"ReservationDeleted", "is held: its reservation is gone"},
    {"AccountNotAllowed", "never starts: its account may not use the partition", true},
    {"QOSNotAllowed", "never starts: its QOS may not be used here", true},
    {"BadConstraints", "never starts: no node can fulfil its constraints", true},
    {"InvalidAccount", "never starts: its account is not valid", true},
    {"InvalidQOS", "never starts: its QOS is not valid", true},
    {"MaxMemPerLimit", "never starts: it asks for more memory than is allowed", true},
};

/// "ReqNodeNotAvail, UnavailableNodes:n[1-2]": the first word.
std::string first_word(const std::string& reason) { return reason.substr(0, reason.find_first_of(", (")); }

/// Limits that a job exceeds by itself, whatever else runs.
bool exceeds_a_limit(std::string_view reason) {
  const bool of_policy = reason.starts_with("Assoc") || reason.starts_with("QOS");
  return of_policy && (reason.find("PerJob") != std::string_view::npos || reason.starts_with("QOSMin"));
}

const ReasonWords* find_reason(const std::string& reason) {
  const auto found = std::find_if(std::begin(kReasons), std::end(kReasons),
                                  [&](const ReasonWords& known) { return known.reason == reason; });
  return found == std::end(kReasons) ? nullptr : found;
}

std::string words_of_pending(const JobStatus& status) {
  if (status.reason.empty()) return "waits";
  // Slurm writes some reasons in words, with spaces or with underscores.
  std::string whole = status.reason;
  std::replace(whole.begin(), whole.end(), ' ', '_');
  const std::string reason = find_reason(whole) ? whole : first_word(status.reason);
  if (const ReasonWords* known = find_reason(reason)) {
    const bool has_details = status.reason.size() > reason.size();
    return std::string(known->words) + (has_details ? " (" + status.reason + ")" : "");
  }
  if (exceeds_a_limit(reason)) return "never starts: it exceeds a limit for one job (" + status.reason + ")";
  if (reason.starts_with("Assoc")) return "waits: its account's limit is reached (" + status.reason + ")";
  if (reason.starts_with("QOS")) return "waits: its QOS's limit is reached (" + status.reason + ")";
  if (whole.starts_with("Nodes_required")) return "waits: nodes that it needs are down, drained or reserved";
  return "waits (" + status.reason + ")";
}

std::string words_of_failure(const JobStatus& status) {
  if (status.signal) return "was ended by signal " + std::to_string(*status.signal);
  if (first_word(status.reason) == "JobLaunchFailure") return "could not be launched";
  if (status.exit_code && *status.exit_code != 0) {
    return "failed with exit code " + std::to_string(*status.exit_code);
  }
  return "failed";
}

std::string words_of_cancel(const JobStatus& status) {
  if (first_word(status.reason) == "DependencyNeverSatisfied") {
    return "cancelled: a job that it depends on did not end well";
  }
  const std::size_t by = status.state.find(" by ");
  return by == std::string::npos ? "cancelled" : "cancelled by user " + status.state.substr(by + 4);
}

}  // namespace

JobPhase phase_of(const std::string& state) {
  // A flag says more than the base state beside it: COMPLETED,COMPLETING still has processes.
  JobPhase phase = JobPhase::unknown;
  const auto rank = [](JobPhase of) {
    switch (of) {
      case JobPhase::completing:
        return 4;
      case JobPhase::pending:
        return 3;
      case JobPhase::running:
        return 2;
      case JobPhase::ended:
        return 1;
      case JobPhase::unknown:
        return 0;
    }
    return 0;
  };
  for (const StateWord* word : words_of(state)) {
    if (rank(word->phase) > rank(phase)) phase = word->phase;
  }
  return phase;
}

JobEnd end_of(const std::string& state) {
  if (phase_of(state) != JobPhase::ended) return JobEnd::none;
  for (const StateWord* word : words_of(state)) {
    if (word->end != JobEnd::none) return word->end;
  }
  return JobEnd::none;
}

std::string in_plain_words(const JobStatus& status) {
  const std::string on_nodes = status.nodes.empty() ? "" : " on " + status.nodes;
  switch (phase_of(status.state)) {
    case JobPhase::pending:
      if (upper_case(status.state) == "CONFIGURING" || upper_case(status.state) == "CF") {
        return "waits until its nodes are booted";
      }
      return words_of_pending(status);
    case JobPhase::running:
      return (upper_case(status.state).starts_with("SUSPENDED") ? "is suspended" : "runs") + on_nodes;
    case JobPhase::completing:
      return "is ending" + on_nodes;
    case JobPhase::unknown:
      return "is in a state that muster does not know: " + (status.state.empty() ? "none" : status.state);
    case JobPhase::ended:
      break;
  }
  switch (end_of(status.state)) {
    case JobEnd::completed:
      return "completed";
    case JobEnd::failed:
      return words_of_failure(status);
    case JobEnd::timeout:
      return "ran into its time limit";
    case JobEnd::cancelled:
      return words_of_cancel(status);
    case JobEnd::preempted:
      return "gave way to another job (preempted)";
    case JobEnd::node_failure:
      return status.nodes.empty() ? "a node failed" : "a node failed (of " + status.nodes + ")";
    case JobEnd::out_of_memory:
      return "ran out of memory";
    case JobEnd::deadline:
      return "could not end before its deadline";
    case JobEnd::boot_failure:
      return "its nodes did not boot";
    case JobEnd::none:
    case JobEnd::other:
      break;
  }
  return "ended (" + status.state + ")";
}

bool never_starts(const JobStatus& status) {
  if (phase_of(status.state) != JobPhase::pending) return false;
  const std::string reason = first_word(status.reason);
  const ReasonWords* known = find_reason(reason);
  return known != nullptr ? known->never : exceeds_a_limit(reason);
}

}  // namespace muster
