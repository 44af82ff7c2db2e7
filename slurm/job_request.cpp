#include "slurm/job_request.hpp"

#include <algorithm>
#include <string_view>

namespace muster {

std::string shell_quoted(const std::string& text) {
  const bool plain = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_./:@%+-").find(c) != std::string_view::npos;
  });
  if (plain) return text;
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

std::vector<std::string> sbatch_arguments(const SlurmCapabilities& /*capabilities*/,
                                          const JobRequest& request) {
  const SlurmOptions& options = request.options;
  std::vector<std::string> arguments{"--parsable"};
  const auto add = [&](const std::string& name, const std::string& value) {
    if (!value.empty()) arguments.push_back("--" + name + "=" + value);
  };
  add("job-name", request.name);
  add("comment", request.token);
  add("partition", options.partition);
  add("account", options.account);
  add("qos", options.qos);
  add("constraint", options.constraint);
  add("reservation", options.reservation);
  add("exclude", options.exclude);
  add("container", options.container);
  add("nodes", std::to_string(request.nodes));
  add("ntasks-per-node", std::to_string(request.tasks_per_node));
  add("cpus-per-task", std::to_string(request.cpus_per_task));
  if (request.gpus_per_node > 0) {
    // Known to every select plugin, and without variables that a step's srun would take for its own options.
    const std::string type = options.gpu_type.empty() ? "" : options.gpu_type + ":";
    add("gres", "gpu:" + type + std::to_string(request.gpus_per_node));
  }
  add("mem", options.mem);
  add("mem-per-cpu", options.mem_per_cpu);
  add("time", options.time);
  if (!request.array.empty()) {
    const std::string throttle =
        options.array_throttle > 0 ? "%" + std::to_string(options.array_throttle) : "";
    add("array", request.array + throttle);
  }
  if (!request.after.empty()) {
    std::string jobs = "afterok";
    for (const std::string& job : request.after) jobs += ":" + job;
    add("dependency", jobs);
  }
  add("kill-on-invalid-dep", "yes");
  add("chdir", request.working_folder.string());
  add("output", request.output.string());
  add("open-mode", "append");
  if (request.signal_seconds > 0) {
    constexpr int kMostThatSlurmTakes = 65535;
    add("signal", "B:USR1@" + std::to_string(std::min(request.signal_seconds, kMostThatSlurmTakes)));
  }
  arguments.emplace_back(options.requeue ? "--requeue" : "--no-requeue");
  add("mail-user", options.mail_user);
  add("mail-type", options.mail_type);
  for (const auto& [name, value] : options.sbatch) {
    arguments.push_back("--" + name + (value.empty() ? "" : "=" + value));
  }
  return arguments;
}

std::string batch_script(const SlurmCapabilities& /*capabilities*/, const JobRequest& request) {
  std::string script = "#!/bin/bash\n";
  if (!request.options.prologue.empty()) {
    // Without a slash bash would look for it in PATH.
    const bool has_slash = request.options.prologue.find('/') != std::string::npos;
    const std::string file = shell_quoted((has_slash ? "" : "./") + request.options.prologue);
    script += "[ -r " + file + " ] || { echo " +
              shell_quoted("muster: the prologue " + request.options.prologue + " cannot be read") +
              " >&2; exit 3; }\n";
    script += ". " + file + "\n";
  }
  if (!request.options.modules.empty()) {
    script += "type module >/dev/null 2>&1 || . /etc/profile\n";
    script += "module load";
    for (const std::string& module : request.options.modules) script += " " + shell_quoted(module);
    script += " || { echo 'muster: the modules cannot be loaded' >&2; exit 3; }\n";
  }
  script += "exec";
  for (const std::string& word : request.command) script += " " + shell_quoted(word);
  return script + "\n";
}

}  // namespace muster
