#include "core/weights/tensor_matching.hpp"

#include <algorithm>
#include <map>
#include <string_view>

#include "core/error.hpp"

namespace muster {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefixes[] = {"",       "module.",   "_orig_mod.", "module._orig_mod.",
                                          "model.", "backbone.", "net.",       "encoder."};
constexpr std::string_view kCounter = "num_batches_tracked";

/// Segments of a name that mean the same, and torchvision's word.
constexpr std::pair<std::string_view, std::string_view> kDialects[] = {
    {"shortcut", "downsample"}, {"head.fc", "fc"}, {"linear", "fc"}, {"classifier", "fc"}};

/// `text` with each whole segment, or run of them, replaced by torchvision's.
std::string in_torchvision_words(const std::string& name) {
  std::string text = "." + name + ".";
  for (const auto& [from, to] : kDialects) {
    const std::string segment = "." + std::string(from) + ".";
    const std::string word = "." + std::string(to) + ".";
    for (std::size_t at = 0; (at = text.find(segment, at)) != std::string::npos; at += word.size() - 1)
      text.replace(at, segment.size(), word);
  }
  return text.substr(1, text.size() - 2);
}

bool is_counter(std::string_view name) { return name.ends_with(kCounter); }

/// `*` stands for any characters.
bool fits(std::string_view name, std::string_view pattern) {
  const std::size_t star = pattern.find('*');
  if (star == std::string_view::npos) return name == pattern;
  if (!name.starts_with(pattern.substr(0, star))) return false;
  const std::string_view rest = pattern.substr(star + 1);
  for (std::size_t at = star; at <= name.size(); ++at) {
    if (fits(name.substr(at), rest)) return true;
  }
  return false;
}

bool any_fits(const std::string& name, const std::vector<std::string>& patterns) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return fits(name, pattern); });
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  if (shape.empty()) return "a number";
  std::string text;
  for (const std::int64_t extent : shape) text += (text.empty() ? "" : "x") + std::to_string(extent);
  return text;
}

std::string joined(const std::vector<std::string>& parts, const char* separator) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : separator) + part;
  return text;
}

using NameIndex = std::map<std::string, std::size_t>;

/// The prefix after which most names of the file are names of the network.
std::string choose_prefix(const NameIndex& wanted, const std::vector<TensorView>& tensors) {
  std::string_view best;
  std::ptrdiff_t most = -1;
  for (const std::string_view prefix : kPrefixes) {
    const auto fitting = std::count_if(tensors.begin(), tensors.end(), [&](const TensorView& tensor) {
      return tensor.name.starts_with(prefix) &&
             wanted.contains(in_torchvision_words(tensor.name.substr(prefix.size())));
    });
    if (fitting > most) {
      best = prefix;
      most = fitting;
    }
  }
  return std::string(best);
}

}  // namespace

std::string Matching::summary() const {
  std::string text = std::to_string(matches.size()) + " of " +
                     std::to_string(matches.size() + unfilled.size()) + " tensors filled";
  if (!prefix.empty()) text += ", without the file's prefix '" + prefix + "'";
  if (!different_shapes.empty()) text += "; different shapes: " + joined(different_shapes, ", ");
  if (!unfilled.empty()) text += "; unfilled: " + joined(unfilled, ", ");
  if (!unused.empty()) text += "; unused: " + joined(unused, ", ");
  return text;
}

Matching match_tensors(const std::vector<WantedTensor>& wanted, const std::vector<TensorView>& tensors,
                       const MatchingRules& rules, const fs::path& file) {
  NameIndex by_name;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (!is_counter(wanted[i].name))
      MUSTER_ASSERT(by_name.emplace(in_torchvision_words(wanted[i].name), i).second);
  }
  Matching result;
  result.prefix = choose_prefix(by_name, tensors);
  std::map<std::size_t, std::size_t> filled;
  std::vector<std::size_t> different;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const TensorView& tensor = tensors[i];
    if (is_counter(tensor.name)) continue;
    const auto found = tensor.name.starts_with(result.prefix)
                           ? by_name.find(in_torchvision_words(tensor.name.substr(result.prefix.size())))
                           : by_name.end();
    if (found == by_name.end()) {
      result.unused.push_back(tensor.name);
      if (!any_fits(tensor.name, rules.may_be_unused))
        result.not_allowed.push_back("the network has no '" + tensor.name + "'");
      continue;
    }
    const WantedTensor& target = wanted[found->second];
    const auto [before, is_new] = filled.emplace(found->second, i);
    if (!is_new) {
      throw Error(ExitCode::data,
                  "'" + tensors[before->second].name + "' and '" + tensor.name +
                      "' both mean the network's '" + target.name + "'",
                  "remove one of them from the file", SourcePlace{file});
    }
    if (tensor.shape == target.shape) continue;
    different.push_back(found->second);
    const std::string text = target.name + ": " + shape_text(tensor.shape) + " in the file, " +
                             shape_text(target.shape) + " in the network";
    result.different_shapes.push_back(text);
    if (!any_fits(target.name, rules.may_differ)) result.not_allowed.push_back(text);
  }
  for (const std::size_t index : different) filled.erase(index);
  for (const auto& [word, index] : by_name) {
    if (filled.contains(index)) continue;
    const std::string& name = wanted[index].name;
    result.unfilled.push_back(name);
    const bool differs = std::find(different.begin(), different.end(), index) != different.end();
    if (!differs && !any_fits(name, rules.may_be_unfilled))
      result.not_allowed.push_back("the file has no '" + name + "'");
  }
  for (const auto& [index, tensor] : filled) result.matches.push_back({index, tensor});
  return result;
}

void require_match(const Matching& matching, const fs::path& file) {
  if (matching.not_allowed.empty()) return;
  throw Error(ExitCode::data, "these weights do not fit the network: " + joined(matching.not_allowed, "; "),
              "choose the network that they are of, or name what may differ", SourcePlace{file});
}

}  // namespace muster
