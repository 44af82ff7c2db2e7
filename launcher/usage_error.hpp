#pragma once
/// A wrong command line as an error of ours.

#include "core/error.hpp"

namespace CLI {
class App;
class ParseError;
}  // namespace CLI

namespace muster {

/// Error(usage): what is wrong with what `app` was given, and the nearest command or option that there is.
Error usage_error(const CLI::App& app, const CLI::ParseError& error);

}  // namespace muster
