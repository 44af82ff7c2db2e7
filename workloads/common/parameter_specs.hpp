#pragma once
/// Short forms for the parameters of a workload's schema.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/workload_schema.hpp"

namespace muster::workloads {

ParameterSpec number(const char* name, double value, const char* unit, const char* help,
                     std::optional<double> minimum = 0, std::optional<double> maximum = std::nullopt);
ParameterSpec integer(const char* name, std::int64_t value, const char* unit, const char* help,
                      double minimum = 0);
ParameterSpec flag(const char* name, bool value, const char* help);
ParameterSpec choice(const char* name, const char* value, const char* help, std::vector<std::string> choices);
/// Names files or folders whose content is in the task's id. Without a default it must be given.
ParameterSpec data_path(const char* name, const char* help, std::optional<std::string> value = std::nullopt);
/// A list of them; none by default.
ParameterSpec data_paths(const char* name, const char* help);
ParameterSpec numbers(const char* name, Value::List value, const char* unit, const char* help);

/// Gives the parameter of this name another default. It must be there.
void set_default(WorkloadSchema& schema, const std::string& name, Value value);

/// A list of texts. Throws Error(config) where an element is none.
std::vector<std::string> texts_of(const Value& value, const std::string& name);

/// A list of numbers as doubles. Throws Error(config) where an element is none.
std::vector<double> list_of(const Value& value, const std::string& name);

}  // namespace muster::workloads
