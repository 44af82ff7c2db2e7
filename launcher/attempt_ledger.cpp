#include "launcher/attempt_ledger.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string_view>
#include <system_error>

#include "core/durable_file.hpp"
#include "core/error.hpp"

namespace muster {

namespace fs = std::filesystem;

namespace {

constexpr const char* kVoid = "void";

/// N of "PREFIX-N"; 0 for any other name.
int number_after(std::string_view prefix, const std::string& name) {
  if (name.rfind(prefix, 0) != 0) return 0;
  const std::string digits = name.substr(prefix.size());
  const bool all_digits = !digits.empty() && digits.find_first_not_of("0123456789") == std::string::npos;
  return all_digits ? std::atoi(digits.c_str()) : 0;
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator item(folder, error), end; !error && item != end; item.increment(error)) {
    names.push_back(item->path().filename().string());
  }
  if (error && error != std::errc::no_such_file_or_directory)
    throw_storage_error(folder, "read", error.value());
  return names;
}

bool is_void(const std::string& claim) {
  const auto json = nlohmann::json::parse(claim, nullptr, false);
  return json.is_object() && json.value(kVoid, false);
}

/// What a launcher that was killed in the midst of open_attempt left behind.
void remove_stale_asides(const TaskPaths& task) {
  for (const std::string& name : names_in(task.folder())) {
    if (name.rfind(".attempt-", 0) != 0) continue;
    const fs::path folder = task.folder() / name;
    std::error_code ignored;
    if (!fs::exists(folder / "gang.json", ignored)) continue;
    if (liveness(read_gang_order(folder / "gang.json").launcher) == Liveness::dead)
      fs::remove_all(folder, ignored);
  }
}

}  // namespace

int highest_attempt(const TaskPaths& task) {
  int highest = 0;
  for (const std::string& name : names_in(task.folder())) {
    highest = std::max({highest, number_after("claim-", name), number_after("attempt-", name)});
  }
  return highest;
}

AttemptView newest_attempt(const TaskPaths& task, const LivenessOf& liveness_of) {
  return view_attempt(task, highest_attempt(task), liveness_of);
}

AttemptView view_attempt(const TaskPaths& task, int number, const LivenessOf& liveness_of) {
  AttemptView view;
  view.number = number;
  if (view.number == 0) return view;
  const AttemptPaths attempt(task.attempt(view.number));
  // A crash of the machine may have emptied what was not fsynced: then nothing of it runs.
  if (fs::exists(attempt.gang()) && fs::file_size(attempt.gang()) > 0)
    view.order = read_gang_order(attempt.gang());

  const fs::path claim_file = task.claim(view.number);
  if (!fs::exists(claim_file)) {
    const Liveness launcher = view.order ? liveness_of(view.order->launcher) : Liveness::dead;
    view.phase = launcher == Liveness::alive     ? AttemptPhase::coming_up
                 : launcher == Liveness::unknown ? AttemptPhase::elsewhere
                                                 : AttemptPhase::abandoned;
    if (view.order) view.claimant = view.order->launcher;
    // The shim may have come up since the first look.
    if (!fs::exists(claim_file)) return view;
  }
  const std::string claim = read_text(claim_file);
  if (is_void(claim)) {
    view.phase = AttemptPhase::voided;
    return view;
  }
  if (!claim.empty()) view.claimant = identity_from_json(claim);
  const Liveness shim = view.claimant ? liveness_of(*view.claimant) : Liveness::dead;
  // Read after the shim was seen dead: its last act was to write this.
  view.exit = read_exit_record(attempt.exit_record());
  view.phase = view.exit                   ? AttemptPhase::ended
               : shim == Liveness::alive   ? AttemptPhase::running
               : shim == Liveness::unknown ? AttemptPhase::elsewhere
                                           : AttemptPhase::vanished;
  return view;
}

bool open_attempt(const TaskPaths& task, int attempt, const GangOrder& order) {
  remove_stale_asides(task);
  const ProcessIdentity self = own_identity();
  const fs::path aside = task.folder() / (".attempt-" + std::to_string(attempt) + "." + self.host + "-" +
                                          std::to_string(self.pid));
  make_folders(aside);
  try {
    write_whole(aside / AttemptPaths("").gang(), gang_order_to_json(order));
    // Onto a folder that exists and is not empty rename fails: the first launcher wins.
    if (std::rename(aside.c_str(), task.attempt(attempt).c_str()) != 0) {
      const int error_number = errno;
      if (error_number != EEXIST && error_number != ENOTEMPTY) {
        throw_storage_error(task.attempt(attempt), "create", error_number);
      }
      fs::remove_all(aside);
      return false;
    }
    return true;
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(aside, ignored);
    throw;
  }
}

bool void_attempt(const TaskPaths& task, int attempt) {
  auto claim = nlohmann::ordered_json::parse(identity_to_json(own_identity()));
  claim[kVoid] = true;
  return create_exclusively(task.claim(attempt), claim.dump());
}

std::optional<FailureRecord> leading_failure(const AttemptPaths& attempt, int exit_code) {
  std::vector<FailureRecord> records;
  for (const std::string& name : names_in(attempt.folder())) {
    if (name.rfind("failure-", 0) != 0) continue;
    const auto json = nlohmann::json::parse(read_text(attempt.folder() / name), nullptr, false);
    // A rank that was killed in mid-write leaves what does not parse: then others speak.
    if (!json.is_object()) continue;
    records.push_back({json.value("code", 0), json.value("problem", ""), json.value("advice", ""),
                       json.value("rank", 0), json.value("host", "")});
  }
  if (records.empty()) return std::nullopt;
  return *std::min_element(records.begin(), records.end(), [&](const auto& a, const auto& b) {
    return std::pair(a.code != exit_code, a.rank) < std::pair(b.code != exit_code, b.rank);
  });
}

double seconds_to_first_gain(const TaskPaths& task) {
  for (int number = highest_attempt(task); number > 0; --number) {
    const AttemptPaths attempt(task.attempt(number));
    const auto record = read_exit_record(attempt.exit_record());
    if (!record) continue;
    std::istringstream lines(fs::exists(attempt.events()) ? read_text(attempt.events()) : "");
    for (std::string line; std::getline(lines, line);) {
      const auto event = nlohmann::json::parse(line, nullptr, false);
      if (event.is_object() && event.value("event", "") == "checkpoint")
        return event.value("time", record->started) - record->started;
    }
    if (record->exit_code == 0) return record->ended - record->started;
  }
  return 0;
}

double seconds_of_attempts(const TaskPaths& task) {
  double seconds = 0;
  for (int number = highest_attempt(task); number > 0; --number) {
    const auto record = read_exit_record(AttemptPaths(task.attempt(number)).exit_record());
    if (record) seconds += record->ended - record->started;
  }
  return seconds;
}

}  // namespace muster
