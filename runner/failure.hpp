#pragma once
/// How a rank that fails tells why.

#include <filesystem>
#include <string>

#include "core/error.hpp"

namespace muster {

/// What was thrown, as an Error: out of memory is Error(resources), anything else that is no Error is
/// Error(internal). Only inside a catch block.
Error current_failure();

/// Prints the error and writes failure-RANK.json; never throws, since nobody could do more about it.
void report_failure(const Error& error, const std::filesystem::path& attempt_folder, int rank) noexcept;

}  // namespace muster
