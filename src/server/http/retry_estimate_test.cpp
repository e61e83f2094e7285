#include "server/http/retry_estimate.h"

#include <gtest/gtest.h>

namespace quern {
namespace {

TEST(RetryEstimate, IsASecondWhileNothingIsKnown) {
  const RetryEstimate estimate;
  EXPECT_EQ(estimate.seconds(0, 0), 1);
  EXPECT_EQ(estimate.seconds(4, 1000), 1);
}

TEST(RetryEstimate, GrowsWithTheQueueAndWithWhatAnswersTake) {
  RetryEstimate estimate;
  estimate.count(8);
  EXPECT_EQ(estimate.seconds(4, 0), 4);
  EXPECT_EQ(estimate.seconds(4, 4), 8);
  EXPECT_EQ(estimate.seconds(4, 6), 10);
  EXPECT_EQ(estimate.seconds(0, 3), 16);
  EXPECT_EQ(estimate.seconds(1, 1024), 60);
  for (int i = 0; i < 100; ++i) estimate.count(0.4);
  EXPECT_EQ(estimate.seconds(4, 0), 1);
  EXPECT_EQ(estimate.seconds(4, 28), 2);
}

}  // namespace
}  // namespace quern
