#pragma once
/// `[matrix]` of an experiment file.

#include "core/experiment.hpp"
#include "core/toml_checks.hpp"

namespace muster {

/// Throws Error(config): unknown key, an axis that is no list or has no values, zip axes of different length,
/// a key in both grid and zip, a resource that cannot be. Adds to `places`.
Matrix read_matrix(const TomlNode& node, Places& places);

}  // namespace muster
