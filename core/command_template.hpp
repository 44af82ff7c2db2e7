#pragma once
/// Placeholders in the command of `exec`: `{lr}` is the parameter's value, `{{lr}}` the text `{lr}`. Braces
/// around anything that cannot be a parameter's name are left alone.

#include <string>
#include <vector>

#include "core/value.hpp"

namespace muster {

/// Names between braces in a word, in order.
std::vector<std::string> placeholders(const std::string& word);

/// The command with every placeholder replaced. Each name must be in `parameters` (make_tasks has seen to
/// that).
std::vector<std::string> fill_command(const std::vector<std::string>& command, const Parameters& parameters);

}  // namespace muster
