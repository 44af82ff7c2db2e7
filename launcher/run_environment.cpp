#include "launcher/run_environment.hpp"

#include <pwd.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>

#include "core/nvml.hpp"
#include "core/process_identity.hpp"
#include "core/version.hpp"
#include "launcher/bundle.hpp"
#include "launcher/command_output.hpp"
#include "launcher/gang_programs.hpp"

namespace muster {

namespace {

using Json = nlohmann::ordered_json;

std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name") && line.find(": ") != std::string::npos)
      return line.substr(line.find(": ") + 2);
  }
  return "";
}

void add(Json& json, const char* name, const std::string& text) {
  if (!text.empty()) json[name] = text;
}

}  // namespace

std::string describe_environment(const std::vector<Slots>& slots) {
  Json json{{"muster", version()}, {"host", own_identity().host}};
  const std::time_t now = std::time(nullptr);
  char time[32];
  std::tm utc{};
  std::strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
  json["created"] = time;
  const passwd* user = getpwuid(geteuid());
  json["user"] = user != nullptr ? user->pw_name : std::to_string(geteuid());
  std::error_code error;
  json["folder"] = std::filesystem::current_path(error).string();
  add(json, "git_commit", first_line_of("git rev-parse HEAD 2>/dev/null"));
  if (json.contains("git_commit")) {
    json["git_changes"] = !first_line_of("git status --porcelain --untracked-files=no 2>/dev/null").empty();
  }
  utsname system{};
  if (uname(&system) == 0) json["kernel"] = std::string(system.sysname) + " " + system.release;
  add(json, "mpirun", first_line_of("mpirun --version 2>/dev/null"));
  if (const auto bundle = find_bundle(program_folder())) {
    json["bundle"] = {{"folder", bundle->folder.string()}, {"mpi", bundle->mpi}, {"torch", bundle->torch}};
  }
  add(json, "cpu_model", cpu_model());
  json["hosts"] = Json::array();
  for (const Slots& host : slots) {
    json["hosts"].push_back({{"name", host.host.empty() ? own_identity().host : host.host},
                             {"cpus", host.cpus},
                             {"gpus", host.gpus}});
  }
  json["gpu_models"] = Json::array();
  for (const FoundGpu& gpu : Nvml().gpus()) {
    json["gpu_models"].push_back({{"name", gpu.name}, {"uuid", gpu.uuid}, {"bytes", gpu.memory}});
  }
  if (const char* modules = std::getenv("LOADEDMODULES")) add(json, "modules", modules);
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    if (text.starts_with("SLURM_") && text.find('=') != text.npos) {
      json["slurm"][std::string(text.substr(0, text.find('=')))] = text.substr(text.find('=') + 1);
    }
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace muster
