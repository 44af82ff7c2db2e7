#pragma once
/// 'Did you mean': the known name that a mistyped one is closest to.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace muster {

/// Levenshtein distance in bytes, a swap of neighbours counting as one.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The nearest of `known`, where it is near enough to be what was meant (a third of the name's length).
std::optional<std::string> nearest_name(std::string_view name, const std::vector<std::string>& known);

/// Advice for an unknown name: `did you mean 'x'?`, else `known are: a, b, c`; `none_known` where there are
/// none.
std::string name_advice(std::string_view name, const std::vector<std::string>& known,
                        const std::string& none_known = "nothing can be given here");

}  // namespace muster
