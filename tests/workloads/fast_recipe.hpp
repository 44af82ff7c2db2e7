#pragma once
/// Parameters of a training with everything that a fast recipe adds.

#include "core/task.hpp"

namespace muster::workloads {

inline Parameters fast_recipe(const Parameters& more = {}) {
  Parameters given{{"network", "airbench94"},
                   {"momentum", 0.85},
                   {"bias_lr_factor", 64.0},
                   {"lookahead.every", 3},
                   {"augment.crop", 2},
                   {"augment.alternate_flip", true},
                   {"augment.padding", "reflect"},
                   {"label_smoothing", 0.2},
                   {"evaluate_views", "mirror+translate"},
                   {"lr", 0.02}};
  for (const auto& [name, value] : more) given[name] = value;
  return given;
}

}  // namespace muster::workloads
