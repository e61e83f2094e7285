#include "runtime/step_budget.h"

#include <gtest/gtest.h>

namespace quern {
namespace {

// A machine whose steps take `fixed` seconds, and `each` for a token.
double settle(StepBudget& budget, bool streams, double fixed, double each, int steps = 60) {
  double seconds = 0;
  for (int i = 0; i < steps; ++i) {
    const int64_t tokens = budget.tokens(streams);
    seconds = fixed + each * static_cast<double>(tokens);
    budget.measured(streams, tokens, seconds);
  }
  return seconds;
}

TEST(StepBudget, FindsThePieceThatTakesAsLongAsWanted) {
  for (const double each : {0.0005, 0.002, 0.008}) {
    StepBudget budget(512, 0.08);
    EXPECT_NEAR(settle(budget, true, 0.01, each), 0.08, 0.02) << each;
  }
  StepBudget fast(512, 0.08), slow(512, 0.08);
  settle(fast, true, 0.001, 1e-6);
  EXPECT_EQ(fast.tokens(true), 512);
  settle(slow, true, 0.001, 1);
  EXPECT_EQ(slow.tokens(true), 8) << "there is always some progress";
}

TEST(StepBudget, ReadsAsLongAsItGeneratesWhereGeneratingIsSlow) {
  StepBudget budget(512, 0.08);
  for (int i = 0; i < 100; ++i) budget.measured(true, 0, 0.5);
  EXPECT_NEAR(settle(budget, true, 0.5, 0.01), 1, 0.2);
}

TEST(StepBudget, TakesLongPiecesWhileNobodyWaits) {
  StepBudget budget(512, 0.08);
  settle(budget, false, 0.01, 0.001);
  EXPECT_EQ(budget.tokens(false), 512);
  EXPECT_EQ(budget.tokens(true), 64) << "the one says nothing about the other";
  settle(budget, false, 0.01, 0.1);
  EXPECT_LE(budget.tokens(false), 24);
}

// A short prompt's step is short, which does not make the next piece longer.
TEST(StepBudget, LearnsNothingFromPiecesThatWereNotUsedUp) {
  StepBudget budget(512, 0.08);
  for (int i = 0; i < 20; ++i) budget.measured(true, 3, 0.001);
  EXPECT_EQ(budget.tokens(true), 64);
}

}  // namespace
}  // namespace quern
