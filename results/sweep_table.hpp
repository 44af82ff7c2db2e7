#pragma once
/// The rows of sweep.h5 and summary.csv: both show the same columns.

#include <optional>
#include <string>
#include <vector>

#include "core/value.hpp"
#include "results/sweep_index.hpp"

namespace muster {

enum class SweepKind { integer, floating, boolean, text };

/// One column over all tasks. A value that a task lacks is NaN in a floating column and "" in a text one; the
/// other kinds lack none.
struct SweepColumn {
  std::string name;
  std::string source;  ///< "task", "parameter" or "final": where the value comes from
  SweepKind kind = SweepKind::text;
  std::vector<std::optional<Value>> values;
};

/// Of every task: what it is and how it fares, its parameters and resources, the last row of its first
/// metrics table
/// ("final_" in front). A parameter that has the name of an earlier column is called "parameters.NAME".
/// `folder` is relative to `run_folder`.
std::vector<SweepColumn> sweep_columns(const std::vector<SweepEntry>& entries,
                                       const std::filesystem::path& run_folder);

std::string sweep_csv(const std::vector<SweepColumn>& columns);

/// `target` as seen from `folder`, both made absolute first; generic separators.
std::string relative_to(const std::filesystem::path& target, const std::filesystem::path& folder);

}  // namespace muster
