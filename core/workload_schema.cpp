#include "core/workload_schema.hpp"

#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/durable_file.hpp"
#include "core/nearest_name.hpp"

namespace muster {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::pair<ParameterType, const char*> kTypes[] = {{ParameterType::boolean, "boolean"},
                                                            {ParameterType::integer, "integer"},
                                                            {ParameterType::floating, "float"},
                                                            {ParameterType::string, "string"},
                                                            {ParameterType::list, "list"}};

const char* name_of(ParameterType type) {
  for (const auto& [candidate, name] : kTypes) {
    if (candidate == type) return name;
  }
  return "unknown";
}

/// JSON has no infinity: a float that is not finite is written as a string ("inf").
Json to_json(const Value& value) {
  if (value.is_bool()) return value.as_bool();
  if (value.is_int()) return value.as_int();
  if (value.is_float()) {
    const double number = value.as_float();
    if (number - number != 0) return value.canonical();
    return number;
  }
  if (value.is_string()) return value.as_string();
  Json list = Json::array();
  for (const Value& element : value.as_list()) list.push_back(to_json(element));
  return list;
}

Value from_json(const Json& json) {
  if (json.is_boolean()) return json.get<bool>();
  if (json.is_number_integer()) return json.get<std::int64_t>();
  if (json.is_number_float()) return json.get<double>();
  if (json.is_string()) return json.get<std::string>();
  if (!json.is_array()) throw std::invalid_argument("a default is " + std::string(json.type_name()));
  Value::List list;
  for (const Json& element : json) list.push_back(from_json(element));
  return list;
}

/// An integer becomes a float where a float is asked for, so that 1 and 1.0 are one value.
Value as_type(const Value& value, ParameterType type) {
  if (type == ParameterType::floating && value.is_int()) return value.as_float();
  return value;
}

bool has_type(const Value& value, ParameterType type) {
  switch (type) {
    case ParameterType::boolean:
      return value.is_bool();
    case ParameterType::integer:
      return value.is_int();
    case ParameterType::floating:
      return value.is_float();
    case ParameterType::string:
      return value.is_string();
    case ParameterType::list:
      return value.is_list();
  }
  return false;
}

ParameterSpec spec_from(const Json& json) {
  ParameterSpec spec;
  spec.name = json.at("name").get<std::string>();
  const auto type_name = json.at("type").get<std::string>();
  bool type_known = false;
  for (const auto& [type, name] : kTypes) {
    if (type_name == name) {
      spec.type = type;
      type_known = true;
    }
  }
  if (!type_known)
    throw std::invalid_argument("parameter " + spec.name + " has the unknown type " + type_name);
  spec.required = json.value("required", false);
  if (!spec.required) {
    const Json& given = json.at("default");
    if (spec.type == ParameterType::floating && given.is_string()) {
      const bool negative = given == "-inf";
      if (!negative && given != "inf")
        throw std::invalid_argument("parameter " + spec.name + " has no float default");
      spec.default_value = (negative ? -1 : 1) * std::numeric_limits<double>::infinity();
    } else {
      spec.default_value = as_type(from_json(given), spec.type);
    }
    if (!has_type(spec.default_value, spec.type))
      throw std::invalid_argument("parameter " + spec.name + " has a default of another type");
  }
  spec.unit = json.value("unit", "");
  spec.help = json.value("help", "");
  spec.choices = json.value("choices", std::vector<std::string>{});
  if (json.contains("minimum")) spec.minimum = json.at("minimum").get<double>();
  if (json.contains("maximum")) spec.maximum = json.at("maximum").get<double>();
  spec.is_data_path = json.value("is_data_path", false);
  spec.changes_result = json.value("changes_result", true);
  return spec;
}

ParameterSpec seed_spec() {
  ParameterSpec spec;
  spec.name = "seed";
  spec.type = ParameterType::integer;
  spec.default_value = 0;
  spec.minimum = 0;
  spec.help = "all random numbers of the task come from it";
  return spec;
}

std::optional<SourcePlace> place_of(const std::string& name,
                                    const std::map<std::string, SourcePlace>& places) {
  for (const std::string& key : {"parameters." + name, std::string("parameters"), std::string()}) {
    if (const auto found = places.find(key); found != places.end()) return found->second;
  }
  return std::nullopt;
}

std::string limit_text(double limit) {
  std::string text = Value(limit).canonical();
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  return text;
}

std::string range_of(const ParameterSpec& spec) {
  if (spec.minimum && spec.maximum)
    return "from " + limit_text(*spec.minimum) + " to " + limit_text(*spec.maximum);
  if (spec.minimum) return "at least " + limit_text(*spec.minimum);
  return "at most " + limit_text(*spec.maximum);
}

Value checked(const ParameterSpec& spec, const Value& given, const std::optional<SourcePlace>& place) {
  const Value value = as_type(given, spec.type);
  if (!has_type(value, spec.type)) {
    const std::string wanted = name_of(spec.type);
    throw Error(ExitCode::config,
                "parameter '" + spec.name + "' must be " + (wanted == "integer" ? "an " : "a ") + wanted +
                    ", not the " + given.kind() + " " + given.canonical(),
                spec.required ? "" : "its default is " + spec.default_value.canonical(), place);
  }
  // A data set may be any path, or one of the choices: whether the path is there is seen when it is read.
  if (!spec.choices.empty() && !spec.is_data_path && value.is_string()) {
    bool known = false;
    for (const std::string& choice : spec.choices) known = known || choice == value.as_string();
    if (!known)
      throw Error(ExitCode::config, "parameter '" + spec.name + "' cannot be " + value.canonical(),
                  name_advice(value.as_string(), spec.choices), place);
  }
  if (value.is_int() || value.is_float()) {
    const double number = value.as_float();
    if ((spec.minimum && !(number >= *spec.minimum)) || (spec.maximum && !(number <= *spec.maximum)))
      throw Error(ExitCode::config, "parameter '" + spec.name + "' cannot be " + value.canonical(),
                  "give a number " + range_of(spec), place);
  }
  return value;
}

}  // namespace

std::string schema_to_json(const WorkloadSchema& schema) {
  Json parameters = Json::array();
  for (const ParameterSpec& spec : schema.parameters) {
    Json json{{"name", spec.name}, {"type", name_of(spec.type)}};
    if (spec.required) {
      json["required"] = true;
    } else {
      json["default"] = to_json(as_type(spec.default_value, spec.type));
    }
    if (!spec.unit.empty()) json["unit"] = spec.unit;
    json["help"] = spec.help;
    if (!spec.choices.empty()) json["choices"] = spec.choices;
    if (spec.minimum) json["minimum"] = *spec.minimum;
    if (spec.maximum) json["maximum"] = *spec.maximum;
    if (spec.is_data_path) json["is_data_path"] = true;
    if (!spec.changes_result) json["changes_result"] = false;
    parameters.push_back(std::move(json));
  }
  Json json{{"name", schema.name}, {"result_version", schema.result_version}};
  if (schema.open) json["open"] = true;
  json["parameters"] = std::move(parameters);
  return json.dump(2) + "\n";
}

WorkloadSchema read_schema(const std::filesystem::path& manifest) {
  const std::string plugin = std::filesystem::path(manifest).replace_extension(".so").string();
  const std::string advice =
      "make it with: muster-runner --describe " + plugin + " --output " + manifest.string();
  std::string text;
  try {
    text = read_text(manifest);
  } catch (const Error& error) {
    throw Error(ExitCode::workload, "the workload's manifest is not there: " + error.problem(), advice);
  }
  try {
    const Json json = Json::parse(text);
    WorkloadSchema schema;
    schema.name = json.at("name").get<std::string>();
    schema.result_version = json.at("result_version").get<int>();
    schema.open = json.value("open", false);
    for (const Json& spec : json.at("parameters")) schema.parameters.push_back(spec_from(spec));
    return schema;
  } catch (const std::exception& error) {  // nlohmann's errors, and our std::invalid_argument
    throw Error(ExitCode::workload, std::string("the workload's manifest is damaged: ") + error.what(),
                advice, SourcePlace{manifest});
  }
}

Parameters resolve_parameters(const WorkloadSchema& schema, const Parameters& given,
                              const std::map<std::string, SourcePlace>& places) {
  std::map<std::string, ParameterSpec> specs{{"seed", seed_spec()}};
  for (const ParameterSpec& spec : schema.parameters) specs.insert_or_assign(spec.name, spec);
  Parameters resolved;
  for (const auto& [name, value] : given) {
    const auto found = specs.find(name);
    if (found != specs.end()) {
      resolved[name] = checked(found->second, value, place_of(name, places));
    } else if (schema.open) {
      resolved[name] = value;
    } else {
      std::vector<std::string> known;
      for (const auto& [known_name, spec] : specs) known.push_back(known_name);
      throw Error(ExitCode::config, "workload '" + schema.name + "' has no parameter '" + name + "'",
                  name_advice(name, known), place_of(name, places));
    }
  }
  for (const auto& [name, spec] : specs) {
    if (resolved.contains(name)) continue;
    if (spec.required)
      throw Error(ExitCode::config, "workload '" + schema.name + "' needs the parameter '" + name + "'",
                  "give it under [parameters]" + (spec.help.empty() ? "" : " (" + spec.help + ")"),
                  place_of(name, places));
    resolved[name] = as_type(spec.default_value, spec.type);
  }
  return resolved;
}

}  // namespace muster
