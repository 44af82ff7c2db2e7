#include "runner/failure.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/run_paths.hpp"
#include "tests/support/processes.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

using ::testing::HasSubstr;
using testing::TemporaryFolder;
using testing::text_of;

TEST(Failure, IsRecordedWithTheFileAndLineThatItIsIn) {
  const TemporaryFolder folder;
  report_failure(
      Error(ExitCode::data, "this line is no index", "write it again", SourcePlace{"/data/i.txt", 3}),
      folder.path(), 0);
  EXPECT_THAT(text_of(AttemptPaths(folder.path()).failure(0)),
              HasSubstr(R"("problem": "/data/i.txt:3: this line is no index")"));
}

TEST(Failure, IsRecordedAsItIsWhereNoFileIsNamed) {
  const TemporaryFolder folder;
  report_failure(Error(ExitCode::diverged, "the loss is nan", "lower lr"), folder.path(), 1);
  const std::string record = text_of(AttemptPaths(folder.path()).failure(1));
  EXPECT_THAT(record, HasSubstr(R"("problem": "the loss is nan")"));
  EXPECT_THAT(record, HasSubstr(R"("advice": "lower lr")"));
}

}  // namespace
}  // namespace muster
