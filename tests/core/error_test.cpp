#include "core/error.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <stdexcept>

#include "core/error_report.hpp"
#include "tests/support/error_of.hpp"

namespace muster {
namespace {

using testing::error_of;

TEST(Error, ReadsPlaceThenProblemThenAdvice) {
  const Error error(ExitCode::config, "unknown key 'rank'", "did you mean 'ranks'?",
                    SourcePlace{"a.toml", 3, 7});
  EXPECT_STREQ(error.what(), "a.toml:3:7: unknown key 'rank'; did you mean 'ranks'?");
  EXPECT_EQ(error.problem(), "unknown key 'rank'");
  EXPECT_EQ(error.advice(), "did you mean 'ranks'?");
  EXPECT_EQ(error.place()->line, 3);
}

TEST(Error, LeavesOutWhatIsUnknown) {
  EXPECT_STREQ(Error(ExitCode::data, "gone", "").what(), "gone");
  EXPECT_STREQ(Error(ExitCode::data, "gone", "", SourcePlace{"a.bin"}).what(), "a.bin: gone");
  EXPECT_STREQ(Error(ExitCode::data, "gone", "", SourcePlace{"a.bin", 2}).what(), "a.bin:2: gone");
  EXPECT_STREQ(Error(ExitCode::data, "gone", "", SourcePlace{}).what(), "gone");
}

TEST(Error, StorageTellsTheSystemsReasonAndWhatToDo) {
  EXPECT_EQ(error_of(ExitCode::storage, [] { throw_storage_error("/runs/x", "write", ENOSPC); }),
            "cannot write '/runs/x': No space left on device; free some space, or choose another folder with "
            "--runs or "
            "$MUSTER_RUNS");
  EXPECT_EQ(
      error_of(ExitCode::storage, [] { throw_storage_error("/runs/x", "write", EROFS); }),
      "cannot write '/runs/x': Read-only file system; choose a folder that you may write to with --runs or "
      "$MUSTER_RUNS");
}

TEST(Error, ABugNamesItsConditionAndPlace) {
  const std::string text = error_of(ExitCode::internal, [] { MUSTER_ASSERT(1 + 1 == 3); });
  EXPECT_NE(text.find("error_test.cpp"), std::string::npos) << text;
  EXPECT_NE(text.find("1 + 1 == 3"), std::string::npos) << text;
}

int reported(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (...) {
    return report_current_exception("muster-x");
  }
}

TEST(ErrorReport, PrintsAnErrorAndReturnsItsCode) {
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(reported(std::make_exception_ptr(Error(ExitCode::resources, "no GPU", "ask for fewer"))), 5);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "muster-x: error: no GPU; ask for fewer\n");
}

TEST(ErrorReport, TakesAnythingElseForABug) {
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(reported(std::make_exception_ptr(std::out_of_range("map::at"))), 70);
  EXPECT_EQ(reported(std::make_exception_ptr(3)), 70);
  EXPECT_NE(::testing::internal::GetCapturedStderr().find("a bug in muster: map::at"), std::string::npos);
}

}  // namespace
}  // namespace muster
