#pragma once
/// What a workload says of itself: its parameters, and the version of what it computes.

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/value.hpp"

namespace muster {

enum class ParameterType { boolean, integer, floating, string, list };

/// One parameter of a workload.
struct ParameterSpec {
  std::string name;  ///< dotted
  ParameterType type = ParameterType::string;
  Value default_value;
  bool required = false;             ///< no default: the experiment must give it
  std::string unit;                  ///< "" where it has none
  std::string help;                  ///< one line
  std::vector<std::string> choices;  ///< of a string; empty: any
  std::optional<double> minimum;     ///< of a number, inclusive
  std::optional<double> maximum;
  bool is_data_path = false;   ///< a data set: its content's digest is part of a task's id
  bool changes_result = true;  ///< false: not part of a task's id (how often to log, say)
};

/// The schema that a plugin exports and the build writes as `NAME.json` beside `NAME.so`.
struct WorkloadSchema {
  std::string name;
  int result_version = 1;  ///< raised by hand when the same parameters begin to give other results
  std::vector<ParameterSpec> parameters;
  bool open = false;  ///< takes any parameter (`exec`)
};

/// What an experiment, or a stage of one, runs.
struct FoundWorkload {
  WorkloadSchema schema;
  std::filesystem::path plugin;  ///< absolute; empty for `exec`
};

std::string schema_to_json(const WorkloadSchema& schema);

/// Reads a manifest. Throws Error(workload) where it is missing or damaged, saying how to make it.
WorkloadSchema read_schema(const std::filesystem::path& manifest);

/// Given parameters checked against the schema, with defaults filled in (`seed`, an integer with default 0,
/// is known to every workload). `places["parameters.NAME"]` is where a parameter stands in the file, for
/// messages. Throws Error(config): unknown name (with the nearest known one), wrong type, not among the
/// choices, out of range, required and missing. An integer is taken where a float is asked for.
Parameters resolve_parameters(const WorkloadSchema& schema, const Parameters& given,
                              const std::map<std::string, SourcePlace>& places);

}  // namespace muster
