#include "workloads/common/parameter_specs.hpp"

#include <algorithm>
#include <utility>

#include "core/error.hpp"

namespace muster::workloads {

ParameterSpec number(const char* name, double value, const char* unit, const char* help,
                     std::optional<double> minimum, std::optional<double> maximum) {
  return {.name = name,
          .type = ParameterType::floating,
          .default_value = value,
          .unit = unit,
          .help = help,
          .minimum = minimum,
          .maximum = maximum};
}

ParameterSpec integer(const char* name, std::int64_t value, const char* unit, const char* help,
                      double minimum) {
  return {.name = name,
          .type = ParameterType::integer,
          .default_value = value,
          .unit = unit,
          .help = help,
          .minimum = minimum};
}

ParameterSpec flag(const char* name, bool value, const char* help) {
  return {.name = name, .type = ParameterType::boolean, .default_value = value, .help = help};
}

ParameterSpec choice(const char* name, const char* value, const char* help,
                     std::vector<std::string> choices) {
  return {.name = name,
          .type = ParameterType::string,
          .default_value = value,
          .help = help,
          .choices = std::move(choices)};
}

ParameterSpec data_path(const char* name, const char* help, std::optional<std::string> value) {
  ParameterSpec spec{
      .name = name, .type = ParameterType::string, .required = !value, .help = help, .is_data_path = true};
  if (value) spec.default_value = std::move(*value);
  return spec;
}

ParameterSpec data_paths(const char* name, const char* help) {
  return {.name = name,
          .type = ParameterType::list,
          .default_value = Value::List{},
          .help = help,
          .is_data_path = true};
}

ParameterSpec numbers(const char* name, Value::List value, const char* unit, const char* help) {
  return {.name = name,
          .type = ParameterType::list,
          .default_value = std::move(value),
          .unit = unit,
          .help = help};
}

void set_default(WorkloadSchema& schema, const std::string& name, Value value) {
  const auto spec = std::find_if(schema.parameters.begin(), schema.parameters.end(),
                                 [&](const ParameterSpec& each) { return each.name == name; });
  MUSTER_ASSERT(spec != schema.parameters.end());
  spec->default_value = std::move(value);
}

std::vector<std::string> texts_of(const Value& value, const std::string& name) {
  std::vector<std::string> texts;
  for (const Value& element : value.as_list()) {
    if (!element.is_string()) {
      throw Error(ExitCode::config, name + " holds something that is no text",
                  "give tensor names, with * for any characters");
    }
    texts.push_back(element.as_string());
  }
  return texts;
}

std::vector<double> list_of(const Value& value, const std::string& name) {
  std::vector<double> result;
  for (const Value& each : value.as_list()) {
    if (!each.is_int() && !each.is_float()) {
      throw Error(ExitCode::config, name + " holds a " + each.kind() + " (it is a list of numbers)",
                  "give numbers only");
    }
    result.push_back(each.as_float());
  }
  return result;
}

}  // namespace muster::workloads
