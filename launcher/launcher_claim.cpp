#include "launcher/launcher_claim.hpp"

#include <nlohmann/json.hpp>

#include "core/durable_file.hpp"
#include "core/error.hpp"
#include "core/unix_time.hpp"

namespace muster {

namespace {

constexpr const char* kEnded = "ended";

int newest_claim(const RunPaths& run, const std::string& part) {
  int number = 0;
  while (std::filesystem::exists(run.launcher_claim(part, number + 1))) ++number;
  return number;
}

[[noreturn]] void throw_busy(const RunPaths& run, const std::string& part, const ProcessIdentity& holder,
                             RunHolder state) {
  std::string who = "process " + std::to_string(holder.pid) + " on " + holder.host;
  if (!holder.job.empty()) who += " (job " + holder.job + ")";
  if (state == RunHolder::alive) {
    throw Error(ExitCode::busy,
                "another launcher drives this run: " + who + " (" + run.folder().string() + ")",
                "watch it with 'muster status' and 'muster logs --follow', or end it with " +
                    (holder.job.empty() ? "'kill " + std::to_string(holder.pid) + "' (saves and stops)"
                                        : "'muster cancel " + run.folder().string() + "'"));
  }
  throw Error(ExitCode::busy,
              "another launcher may drive this run: " + who + ", which cannot be asked from here (" +
                  run.folder().string() + ")",
              "go on there; if that process is gone, remove " +
                  run.launcher_claim(part, newest_claim(run, part)).string());
}

}  // namespace

RunHolder holder_of(const RunPaths& run, ProcessIdentity& holder, const std::string& part,
                    const LivenessOf& liveness_of) {
  const int number = newest_claim(run, part);
  if (number == 0) return RunHolder::nobody;
  std::string text;
  try {
    text = read_text(run.launcher_claim(part, number));
  } catch (const Error&) {
    // A launcher that made the same run a moment too late withdraws its own.
    if (!std::filesystem::exists(run.folder())) return RunHolder::nobody;
    throw;
  }
  // Empty: the machine crashed, and its processes with it.
  if (text.empty() || nlohmann::json::parse(text, nullptr, false).contains(kEnded)) return RunHolder::nobody;
  holder = identity_from_json(text);
  switch (liveness_of(holder)) {
    case Liveness::alive:
      return RunHolder::alive;
    case Liveness::unknown:
      return RunHolder::unknown;
    case Liveness::dead:
      break;
  }
  return RunHolder::nobody;
}

void write_first_claim(const RunPaths& run) {
  create_exclusively(run.launcher_claim("", 1), identity_to_json(own_identity()));
}

LauncherClaim::LauncherClaim(const RunPaths& run, std::string part, const LivenessOf& liveness_of)
    : run_(run), part_(std::move(part)) {
  while (true) {
    ProcessIdentity holder;
    const RunHolder state = holder_of(run, holder, part_, liveness_of);
    if (state != RunHolder::nobody && holder == own_identity()) {
      number_ = newest_claim(run, part_);
      return;
    }
    if (state != RunHolder::nobody) throw_busy(run, part_, holder, state);
    number_ = newest_claim(run, part_) + 1;
    if (create_exclusively(run.launcher_claim(part_, number_), identity_to_json(own_identity()))) return;
  }
}

bool LauncherClaim::superseded() const {
  return std::filesystem::exists(run_.launcher_claim(part_, number_ + 1));
}

LauncherClaim::~LauncherClaim() {
  try {
    auto claim = nlohmann::ordered_json::parse(identity_to_json(own_identity()));
    claim[kEnded] = unix_now();
    write_whole(run_.launcher_claim(part_, number_), claim.dump());
  } catch (const Error&) {
    // The disk is full or gone: this host still sees that the process has ended.
  }
}

}  // namespace muster
