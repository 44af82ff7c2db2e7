#pragma once
/// From matrix to cells.

#include <vector>

#include "core/experiment.hpp"

namespace muster {

/// Cells in file order: the last grid axis varies fastest, zip rows innermost. No duplicates: a repeated cell
/// throws Error(config), as does an exclude that matches nothing (a typing error, most likely).
std::vector<Cell> expand(const Matrix& matrix, const std::filesystem::path& file);

}  // namespace muster
