#pragma once
/// From matrix to cells.

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "core/experiment.hpp"

namespace muster {

/// Cells in file order: common axes vary slowest, the last grid axis fastest, zip rows innermost, included
/// cells last. Without grid and zip the included cells are all there are, and without those one cell without
/// axes. Numbers are compared as numbers. Throws Error(config): a cell that is there twice, an exclude that
/// matches nothing (a typing error, most likely), nothing left, or more than `kMostCells`.
inline constexpr std::size_t kMostCells = 100'000;
std::vector<Cell> expand(const Matrix& matrix, const std::filesystem::path& file);

/// Text by which two values are one on an axis: 1 and 1.0 are.
std::string sameness(const Value& value);

/// Axis keys in the file's order; keys of included cells that are on no axis follow.
std::vector<std::string> axis_order(const Matrix& matrix);

}  // namespace muster
