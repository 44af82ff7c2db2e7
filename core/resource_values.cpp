#include "core/resource_values.hpp"

#include <string_view>

#include "core/nearest_name.hpp"

namespace muster {

namespace {

/// More than any machine has; keeps products of these numbers far from overflow.
constexpr std::int64_t kMost = 1'000'000;

[[noreturn]] void throw_kind(const std::string& name, const char* wanted, const Value& value,
                             const SourcePlace& place) {
  throw Error(
      ExitCode::config,
      "'resources." + name + "' must be " + wanted + ", not the " + value.kind() + " " + value.canonical(),
      "", place);
}

int count_of(const std::string& name, const Value& value, std::int64_t least, const SourcePlace& place) {
  if (!value.is_int()) throw_kind(name, "an integer", value, place);
  const std::int64_t number = value.as_int();
  if (number < least || number > kMost)
    throw Error(ExitCode::config, "'resources." + name + "' cannot be " + value.canonical(),
                "give a number from " + std::to_string(least) + " to " + std::to_string(kMost), place);
  return static_cast<int>(number);
}

bool flag_of(const std::string& name, const Value& value, const SourcePlace& place) {
  if (!value.is_bool()) throw_kind(name, "a boolean", value, place);
  return value.as_bool();
}

}  // namespace

std::optional<std::string> resource_name_of(const std::string& axis_key) {
  const std::string_view prefix(kResourcePrefix);
  if (!axis_key.starts_with(prefix)) return std::nullopt;
  return axis_key.substr(prefix.size());
}

void set_resource(Resources& resources, const std::string& name, const Value& value,
                  const SourcePlace& place) {
  if (name == "ranks") {
    resources.ranks = count_of(name, value, 1, place);
  } else if (name == "cpus_per_rank") {
    resources.cpus_per_rank = count_of(name, value, 1, place);
  } else if (name == "gpus_per_rank") {
    resources.gpus_per_rank = count_of(name, value, 0, place);
  } else if (name == "oversubscribe") {
    resources.oversubscribe = flag_of(name, value, place);
  } else if (name == "exclusive") {
    resources.exclusive = flag_of(name, value, place);
  } else {
    throw Error(ExitCode::config, "unknown resource '" + name + "'",
                name_advice(name, {"ranks", "cpus_per_rank", "gpus_per_rank", "oversubscribe", "exclusive"}),
                place);
  }
}

}  // namespace muster
