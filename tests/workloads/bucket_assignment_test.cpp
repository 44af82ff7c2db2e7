#include "workloads/common/exchange/bucket_assignment.hpp"

#include <gtest/gtest.h>

#include "core/error.hpp"

namespace muster::workloads {
namespace {

TEST(BucketAssignment, SurvivesItsText) {
  const BucketAssignment settled{{{3, 2}, {1}, {0}}, true};
  EXPECT_EQ(bucket_assignment_from(to_text(settled), 4), settled);
  const BucketAssignment initial{{{0, 1, 2}}, false};
  EXPECT_EQ(bucket_assignment_from(to_text(initial), 3), initial);
}

TEST(BucketAssignment, RefusesTextThatDoesNotFitTheNetwork) {
  for (const char* text : {"settled 0,1", "settled 0,1,2,3", "settled 0,0,1", "settled 0,1,7", "settled 0,1,",
                           "0,1,2", "settled ", "", "settled 0,1:2", "settled -1,0,2"}) {
    try {
      bucket_assignment_from(text, 3);
      ADD_FAILURE() << "took '" << text << "'";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::checkpoint) << text;
    }
  }
}

}  // namespace
}  // namespace muster::workloads
