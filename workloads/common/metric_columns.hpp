#pragma once
/// Short forms for the columns of a workload's metric tables.

#include "core/metric_schema.hpp"

namespace muster::workloads {

inline MetricColumn whole_column(const char* name, const char* unit, const char* help) {
  return {name, MetricType::integer, unit, help};
}

inline MetricColumn real_column(const char* name, const char* unit, const char* help) {
  return {name, MetricType::floating, unit, help};
}

}  // namespace muster::workloads
