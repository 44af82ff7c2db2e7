#include "core/process_identity.hpp"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "core/error.hpp"

namespace muster {

namespace {

std::string host_name() {
  char buffer[256] = {};
  gethostname(buffer, sizeof buffer - 1);
  return buffer;
}

std::string boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string text;
  std::getline(file, text);
  return text;
}

struct ProcessStat {
  char state = '?';
  unsigned long long start = 0;
};

/// nullopt where there is no such process.
std::optional<ProcessStat> read_stat(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  // The second field is the command's name in brackets, which may itself hold brackets and blanks.
  const auto bracket = text.rfind(')');
  if (bracket == std::string::npos) return std::nullopt;
  std::istringstream fields(text.substr(bracket + 1));
  ProcessStat stat;
  fields >> stat.state;
  std::string skipped;
  for (int field = 4; field < 22; ++field) fields >> skipped;
  if (!(fields >> stat.start)) return std::nullopt;
  return stat;
}

}  // namespace

ProcessIdentity identity_of(int pid) {
  const auto stat = read_stat(pid);
  return {host_name(), boot_id(), pid, stat ? stat->start : 0, "", 0};
}

ProcessIdentity own_identity() {
  ProcessIdentity own = identity_of(getpid());
  const char* job = std::getenv("SLURM_JOB_ID");
  const char* restarts = std::getenv("SLURM_RESTART_COUNT");
  if (job != nullptr) own.job = job;
  if (job != nullptr && restarts != nullptr) own.job_restarts = std::atoi(restarts);
  return own;
}

Liveness liveness(const ProcessIdentity& process) {
  if (process.host != host_name()) return Liveness::unknown;
  if (process.boot_id != boot_id()) return Liveness::dead;
  const auto stat = read_stat(process.pid);
  if (!stat || stat->start != process.start || stat->state == 'Z' || stat->state == 'X')
    return Liveness::dead;
  return Liveness::alive;
}

std::string identity_to_json(const ProcessIdentity& process) {
  nlohmann::json json{
      {"host", process.host}, {"boot_id", process.boot_id}, {"pid", process.pid}, {"start", process.start}};
  if (!process.job.empty()) {
    json["job"] = process.job;
    json["job_restarts"] = process.job_restarts;
  }
  return json.dump();
}

ProcessIdentity identity_from_json(const std::string& text) {
  try {
    const auto json = nlohmann::json::parse(text);
    return {json.at("host").get<std::string>(),
            json.at("boot_id").get<std::string>(),
            json.at("pid").get<int>(),
            json.at("start").get<unsigned long long>(),
            json.value("job", ""),
            json.value("job_restarts", 0)};
  } catch (const nlohmann::json::exception& error) {
    throw Error(ExitCode::storage, std::string("a process's record is damaged: ") + error.what(),
                "remove the file if its process is gone");
  }
}

}  // namespace muster
