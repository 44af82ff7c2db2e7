#pragma once
/// From matrix to cells.

#include <cstddef>
#include <filesystem>
#include <vector>

#include "core/experiment.hpp"

namespace muster {

/// Cells in file order: the last grid axis varies fastest, zip rows innermost, included cells last. Without
/// grid and zip the included cells are all there are, and without those one cell without axes. Numbers are
/// compared as numbers. Throws Error(config): a cell that is there twice, an exclude that matches nothing (a
/// typing error, most likely), nothing left, or more than `kMostCells`.
inline constexpr std::size_t kMostCells = 100'000;
std::vector<Cell> expand(const Matrix& matrix, const std::filesystem::path& file);

}  // namespace muster
