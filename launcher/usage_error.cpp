#include "launcher/usage_error.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>
#include <vector>

#include "core/nearest_name.hpp"

namespace muster {

namespace {

std::vector<std::string> options_of(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

std::vector<std::string> commands_of(const CLI::App& app) {
  std::vector<std::string> names;
  const auto is_shown = [](const CLI::App* command) { return !command->get_group().empty(); };
  for (const CLI::App* command : app.get_subcommands(is_shown)) names.push_back(command->get_name());
  return names;
}

}  // namespace

Error usage_error(const CLI::App& app, const CLI::ParseError& error) {
  const auto chosen = app.get_subcommands();
  const CLI::App& command = chosen.empty() ? app : *chosen.front();
  const std::string name = chosen.empty() ? app.get_name() : app.get_name() + " " + command.get_name();
  const std::vector<std::string> extras = app.remaining(true);
  const auto option = std::find_if(extras.begin(), extras.end(),
                                   [](const std::string& word) { return word.starts_with("-"); });
  if (option != extras.end()) {
    const std::string given = option->substr(0, option->find('='));
    return Error(ExitCode::usage, "'" + name + "' has no option '" + given + "'",
                 name_advice(given, options_of(command)));
  }
  if (chosen.empty()) {
    return Error(ExitCode::usage,
                 extras.empty() ? "a command is missing" : "there is no command '" + extras.front() + "'",
                 name_advice(extras.empty() ? "" : extras.front(), commands_of(app)));
  }
  const std::string help = "see '" + name + " --help'";
  if (!extras.empty())
    return Error(ExitCode::usage, "'" + name + "' takes no '" + extras.front() + "' here", help);
  return Error(ExitCode::usage, error.what(), help);
}

}  // namespace muster
