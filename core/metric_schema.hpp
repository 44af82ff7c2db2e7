#pragma once
/// Metrics: tables of named, united columns. Declared once, before the first row.

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace muster {

enum class MetricType { integer, floating };

struct MetricColumn {
  std::string name;
  MetricType type = MetricType::floating;
  std::string unit;  ///< "s", "images/s", "B", "1" for a ratio or count
  std::string help;
};

/// A table ("epoch", "step", "class"). Two columns come of themselves, first: `attempt` (integer) and
/// `unix_time` (s).
struct MetricTable {
  std::string name;
  std::vector<MetricColumn> columns;
};

using MetricValue = std::variant<std::int64_t, double>;

}  // namespace muster
