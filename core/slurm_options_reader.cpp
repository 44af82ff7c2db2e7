#include "core/slurm_options_reader.hpp"

#include <cstdlib>
#include <functional>
#include <system_error>

#include "core/nearest_name.hpp"

namespace muster {

namespace {

namespace fs = std::filesystem;

constexpr const char* kPrefix = "slurm.";
constexpr const char* kSbatch = "sbatch";
constexpr const char* kSbatchPrefix = "slurm.sbatch.";
constexpr std::int64_t kMostNodes = 1'000'000;

using Options = SlurmOptions;

/// One key of [slurm]: how it is read, and how it is taken over from another set of options.
struct Key {
  std::string name;
  std::function<void(const TomlNode&, Options&)> read;
  std::function<void(const Options& from, Options& to)> take;
};

std::string full_name(const TomlNode& node) { return kPrefix + node.key; }

std::string text_of(const TomlNode& node) {
  if (node.kind != TomlNode::Kind::value || !node.value.is_string())
    throw_wrong_kind(full_name(node), "a string", node);
  if (node.value.as_string().empty())
    throw Error(ExitCode::config, "'" + full_name(node) + "' is empty", "give it a value, or remove it",
                node.value_place);
  return node.value.as_string();
}

Key text_key(const std::string& name, std::string Options::*member) {
  return {name, [member](const TomlNode& node, Options& options) { options.*member = text_of(node); },
          [member](const Options& from, Options& to) { to.*member = from.*member; }};
}

/// sbatch takes a plain number as well: MiB, or minutes.
Key amount_key(const std::string& name, std::string Options::*member) {
  Key key = text_key(name, member);
  key.read = [member](const TomlNode& node, Options& options) {
    const bool is_number = node.kind == TomlNode::Kind::value && node.value.is_int();
    if (is_number && node.value.as_int() < 0)
      throw Error(ExitCode::config, "'" + full_name(node) + "' cannot be " + node.value.canonical(),
                  "give a number from 0", node.value_place);
    options.*member = is_number ? node.value.canonical() : text_of(node);
  };
  return key;
}

Key count_key(const std::string& name, int Options::*member) {
  return {name,
          [member](const TomlNode& node, Options& options) {
            if (node.kind != TomlNode::Kind::value || !node.value.is_int())
              throw_wrong_kind(full_name(node), "an integer", node);
            const std::int64_t number = node.value.as_int();
            if (number < 1 || number > kMostNodes)
              throw Error(ExitCode::config, "'" + full_name(node) + "' cannot be " + node.value.canonical(),
                          "give a number from 1 to " + std::to_string(kMostNodes), node.value_place);
            options.*member = static_cast<int>(number);
          },
          [member](const Options& from, Options& to) { to.*member = from.*member; }};
}

void read_requeue(const TomlNode& node, Options& options) {
  if (node.kind != TomlNode::Kind::value || !node.value.is_bool())
    throw_wrong_kind(full_name(node), "a boolean", node);
  options.requeue = node.value.as_bool();
}

void read_modules(const TomlNode& node, Options& options) {
  if (node.kind != TomlNode::Kind::array) throw_wrong_kind(full_name(node), "a list of strings", node);
  options.modules.clear();
  for (const TomlNode& item : node.items) {
    if (item.kind != TomlNode::Kind::value || !item.value.is_string() || item.value.as_string().empty())
      throw_wrong_kind(full_name(node) + "[" + std::to_string(options.modules.size()) + "]",
                       "a module's name", item);
    options.modules.push_back(item.value.as_string());
  }
}

void read_prologue(const TomlNode& node, Options& options) {
  const fs::path folder = fs::absolute(node.value_place.file).parent_path();
  options.prologue = (folder / text_of(node)).lexically_normal();
}

/// An option of sbatch that cannot be given under [slurm.sbatch], and what to do instead.
struct TakenOption {
  const char* name;
  const char* advice;
};

constexpr TakenOption kTakenOptions[] = {
    {"array", "muster numbers arrays itself: use 'muster submit --array', and array_throttle under [slurm]"},
    {"chdir", "jobs run in the folder that 'muster submit' is called in"},
    {"comment", "muster finds its jobs by their comment"},
    {"cpus-per-task", "give cpus_per_rank under [resources]"},
    {"dependency", "use 'muster submit --after JOB'"},
    {"error", "muster keeps the job's output in the run's folder"},
    {"gpus", "give gpus_per_rank under [resources]"},
    {"gpus-per-node", "give gpus_per_rank under [resources]"},
    {"gpus-per-task", "give gpus_per_rank under [resources]"},
    {"gres", "give gpus_per_rank under [resources]"},
    {"help", "remove it"},
    {"input", "a job of muster reads nothing"},
    {"job-name", "the experiment's name is the job's"},
    {"kill-on-invalid-dep", "muster gives it with every dependency"},
    {"no-requeue", "give requeue = false under [slurm]"},
    {"ntasks", "give ranks under [resources]"},
    {"ntasks-per-node", "give ranks under [resources]"},
    {"open-mode", "muster keeps the job's output in the run's folder"},
    {"output", "muster keeps the job's output in the run's folder"},
    {"parsable", "use 'muster submit --parsable'"},
    {"quiet", "remove it"},
    {"signal", "muster asks for a signal in time to save"},
    {"test-only", "use 'muster submit --dry-run'"},
    {"usage", "remove it"},
    {"verbose", "remove it"},
    {"version", "remove it"},
    {"wait", "use 'muster watch' after 'muster submit'"},
    {"wrap", "muster writes the batch script itself"},
};

/// Names of [slurm] as options of sbatch spell them: "mail-user".
std::string dashed(std::string name) {
  for (char& c : name) {
    if (c == '_') c = '-';
  }
  return name;
}

void check_sbatch_name(const TomlNode& node);

void read_sbatch(const TomlNode& table, Options& options) {
  check_table(table, full_name(table));
  for (const TomlNode& node : table.items) {
    check_sbatch_name(node);
    const std::string name = kSbatchPrefix + node.key;
    if (node.kind != TomlNode::Kind::value || node.value.is_float())
      throw_wrong_kind(name, "a string, an integer or a boolean", node);
    if (node.value.is_bool() && !node.value.as_bool()) {
      options.sbatch.erase(node.key);
    } else if (node.value.is_bool()) {
      options.sbatch[node.key] = "";
    } else if (node.value.is_string() && node.value.as_string().empty()) {
      throw Error(ExitCode::config, "'" + name + "' is empty",
                  "write " + node.key + " = true for an option without a value", node.value_place);
    } else {
      options.sbatch[node.key] = node.value.text();
    }
  }
}

const std::vector<Key>& keys() {
  static const std::vector<Key> all = {
      text_key("partition", &Options::partition),
      text_key("account", &Options::account),
      text_key("qos", &Options::qos),
      text_key("constraint", &Options::constraint),
      text_key("gpu_type", &Options::gpu_type),
      amount_key("mem", &Options::mem),
      amount_key("mem_per_cpu", &Options::mem_per_cpu),
      amount_key("time", &Options::time),
      text_key("reservation", &Options::reservation),
      text_key("mail_user", &Options::mail_user),
      text_key("mail_type", &Options::mail_type),
      {"modules", read_modules, [](const Options& from, Options& to) { to.modules = from.modules; }},
      {"prologue", read_prologue, [](const Options& from, Options& to) { to.prologue = from.prologue; }},
      text_key("container", &Options::container),
      text_key("exclude", &Options::exclude),
      count_key("nodes", &Options::nodes),
      count_key("array_throttle", &Options::array_throttle),
      {"requeue", read_requeue, [](const Options& from, Options& to) { to.requeue = from.requeue; }},
  };
  return all;
}

void check_sbatch_name(const TomlNode& node) {
  const std::string& name = node.key;
  const auto refuse = [&node](const std::string& advice) {
    throw Error(ExitCode::config, "the option '--" + node.key + "' of sbatch cannot be given here", advice,
                node.key_place);
  };
  const bool is_word = !name.empty() && name.front() >= 'a' && name.front() <= 'z' &&
                       name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string::npos;
  if (!is_word)
    throw Error(ExitCode::config, Value(name).canonical() + " cannot be a long option of sbatch",
                "write its name without the dashes before it, as in spread-job = true", node.key_place);
  for (const TakenOption& taken : kTakenOptions) {
    if (name == taken.name) refuse(taken.advice);
  }
  for (const Key& key : keys()) {
    if (name == dashed(key.name)) refuse("give it as " + key.name + " under [slurm]");
  }
}

}  // namespace

SlurmOptions read_slurm_options(const TomlNode& table, Places& places) {
  check_table(table, "slurm");
  std::vector<std::string> known;
  for (const Key& key : keys()) known.push_back(key.name);
  known.emplace_back(kSbatch);
  check_keys(table, known, "[slurm]");
  SlurmOptions options;
  for (const TomlNode& node : table.items) {
    places[full_name(node)] = node.key_place;
    if (node.key == kSbatch) {
      read_sbatch(node, options);
      for (const TomlNode& item : node.items) places[kSbatchPrefix + item.key] = item.key_place;
    }
    for (const Key& key : keys()) {
      if (key.name == node.key) key.read(node, options);
    }
  }
  if (!options.mem.empty() && !options.mem_per_cpu.empty())
    throw Error(ExitCode::config,
                "'slurm.mem' and 'slurm.mem_per_cpu' are both given, of which Slurm takes one",
                "remove one of them", places.at("slurm.mem_per_cpu"));
  return options;
}

std::optional<fs::path> site_slurm_file() {
  fs::path folder;
  const char* config = std::getenv("XDG_CONFIG_HOME");
  const char* home = std::getenv("HOME");
  if (config != nullptr && *config != '\0') {
    folder = config;
  } else if (home != nullptr && *home != '\0') {
    folder = fs::path(home) / ".config";
  } else {
    return std::nullopt;
  }
  const fs::path file = folder / "muster" / "slurm.toml";
  std::error_code ignored;
  return fs::exists(file, ignored) ? std::optional(file) : std::nullopt;
}

SlurmOptions lay_over(const SlurmOptions& site, const Places& site_places, const SlurmOptions& experiment,
                      Places& places) {
  SlurmOptions options = site;
  for (const Key& key : keys()) {
    if (places.contains(kPrefix + key.name)) key.take(experiment, options);
  }
  // Slurm takes one of the two: the experiment's choice wins whole.
  if (places.contains("slurm.mem")) options.mem_per_cpu.clear();
  if (places.contains("slurm.mem_per_cpu")) options.mem.clear();
  for (const auto& [name, place] : places) {
    if (name.starts_with(kSbatchPrefix)) options.sbatch.erase(name.substr(std::string(kSbatchPrefix).size()));
  }
  options.sbatch.insert(experiment.sbatch.begin(), experiment.sbatch.end());
  places.insert(site_places.begin(), site_places.end());
  return options;
}

SlurmOptions with_site_defaults(const SlurmOptions& experiment, Places& places) {
  const auto file = site_slurm_file();
  if (!file) return experiment;
  Places site_places;
  const SlurmOptions site = read_slurm_options(read_toml(*file), site_places);
  return lay_over(site, site_places, experiment, places);
}

}  // namespace muster
