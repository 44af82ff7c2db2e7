#pragma once
/// What a call that must fail says.

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "core/error.hpp"

namespace muster::testing {

/// what() of the Error that `call` throws; a test failure where it throws none, or one with another code.
inline std::string error_of(ExitCode code, const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(code)) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

}  // namespace muster::testing
