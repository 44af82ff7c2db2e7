#include "launcher/job_request_json.hpp"

#include <nlohmann/json.hpp>

namespace muster {

namespace {

using Json = nlohmann::ordered_json;

struct TextOption {
  const char* name;
  std::string SlurmOptions::*member;
};

constexpr TextOption kTexts[] = {
    {"partition", &SlurmOptions::partition},
    {"account", &SlurmOptions::account},
    {"qos", &SlurmOptions::qos},
    {"constraint", &SlurmOptions::constraint},
    {"reservation", &SlurmOptions::reservation},
    {"container", &SlurmOptions::container},
    {"gpu_type", &SlurmOptions::gpu_type},
    {"mem", &SlurmOptions::mem},
    {"mem_per_cpu", &SlurmOptions::mem_per_cpu},
    {"time", &SlurmOptions::time},
    {"mail_user", &SlurmOptions::mail_user},
    {"mail_type", &SlurmOptions::mail_type},
    {"prologue", &SlurmOptions::prologue},
    {"exclude", &SlurmOptions::exclude},
};

Json to_json(const SlurmOptions& options) {
  Json json = Json::object();
  for (const TextOption& text : kTexts) {
    if (!(options.*text.member).empty()) json[text.name] = options.*text.member;
  }
  json["modules"] = options.modules;
  json["nodes"] = options.nodes;
  json["array_throttle"] = options.array_throttle;
  json["requeue"] = options.requeue;
  json["sbatch"] = Json::object();
  for (const auto& [name, value] : options.sbatch) json["sbatch"][name] = value;
  return json;
}

SlurmOptions options_of(const Json& json) {
  SlurmOptions options;
  for (const TextOption& text : kTexts) options.*text.member = json.value(text.name, "");
  options.modules = json.at("modules").get<std::vector<std::string>>();
  options.nodes = json.at("nodes").get<int>();
  options.array_throttle = json.at("array_throttle").get<int>();
  options.requeue = json.at("requeue").get<bool>();
  for (const auto& [name, value] : json.at("sbatch").items()) {
    options.sbatch[name] = value.get<std::string>();
  }
  return options;
}

}  // namespace

std::string job_request_to_json(const JobRequest& request) {
  const Json json{{"name", request.name},
                  {"token", request.token},
                  {"options", to_json(request.options)},
                  {"nodes", request.nodes},
                  {"tasks_per_node", request.tasks_per_node},
                  {"cpus_per_task", request.cpus_per_task},
                  {"gpus_per_node", request.gpus_per_node},
                  {"array", request.array},
                  {"after", request.after},
                  {"command", request.command},
                  {"working_folder", request.working_folder.string()},
                  {"output", request.output.string()},
                  {"signal_seconds", request.signal_seconds}};
  return json.dump();
}

JobRequest job_request_from_json(const std::string& text) {
  try {
    const Json json = Json::parse(text);
    JobRequest request;
    request.name = json.at("name").get<std::string>();
    request.token = json.at("token").get<std::string>();
    request.options = options_of(json.at("options"));
    request.nodes = json.at("nodes").get<int>();
    request.tasks_per_node = json.at("tasks_per_node").get<int>();
    request.cpus_per_task = json.at("cpus_per_task").get<int>();
    request.gpus_per_node = json.at("gpus_per_node").get<int>();
    request.array = json.at("array").get<std::string>();
    request.after = json.at("after").get<std::vector<std::string>>();
    request.command = json.at("command").get<std::vector<std::string>>();
    request.working_folder = json.at("working_folder").get<std::string>();
    request.output = json.at("output").get<std::string>();
    request.signal_seconds = json.at("signal_seconds").get<int>();
    return request;
  } catch (const Json::exception& error) {
    throw Error(ExitCode::storage, std::string("a job's request is damaged: ") + error.what(),
                "submit the experiment again");
  }
}

}  // namespace muster
