#include "core/command_template.hpp"

#include <functional>
#include <string_view>

#include "core/error.hpp"

namespace muster {

namespace {

constexpr std::string_view kNameCharacters =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

/// Walks a word; `value_of` gives what stands for a placeholder.
std::string substitute(std::string_view word,
                       const std::function<std::string(const std::string&)>& value_of) {
  std::string text;
  while (!word.empty()) {
    const std::size_t open = word.find('{');
    text += word.substr(0, open);
    if (open == std::string_view::npos) break;
    word.remove_prefix(open);
    const bool doubled = word.starts_with("{{");
    const std::size_t begin = doubled ? 2 : 1;
    const std::size_t end = std::min(word.find_first_not_of(kNameCharacters, begin), word.size());
    const std::string name(word.substr(begin, end - begin));
    const std::string_view closing = doubled ? "}}" : "}";
    if (name.empty() || !word.substr(end).starts_with(closing)) {
      text += '{';
      word.remove_prefix(1);
      continue;
    }
    text += doubled ? "{" + name + "}" : value_of(name);
    word.remove_prefix(end + closing.size());
  }
  return text;
}

}  // namespace

std::vector<std::string> placeholders(const std::string& word) {
  std::vector<std::string> names;
  substitute(word, [&names](const std::string& name) {
    names.push_back(name);
    return std::string();
  });
  return names;
}

std::vector<std::string> fill_command(const std::vector<std::string>& command, const Parameters& parameters) {
  std::vector<std::string> filled;
  for (const std::string& word : command) {
    filled.push_back(substitute(word, [&parameters](const std::string& name) {
      const auto found = parameters.find(name);
      MUSTER_ASSERT(found != parameters.end());
      return found->second.text();
    }));
  }
  return filled;
}

}  // namespace muster
