#include "server/turn_queue.h"

#include <gtest/gtest.h>

#include <thread>

namespace quern {
namespace {

TurnText text(std::string words) { return {.text = std::move(words), .logprobs = {}}; }

TEST(TurnQueue, GivesUpdatesInTheirOrderAndThenNothing) {
  TurnQueue queue(2);
  EXPECT_TRUE(queue.put(0, TurnBegun{7}));
  EXPECT_TRUE(queue.put(0, TurnCall{0, "call_1", "f"}));
  EXPECT_TRUE(queue.put(1, text("b")));
  EXPECT_TRUE(queue.put(0, TurnEnd{}));
  EXPECT_TRUE(queue.put(1, TurnFailed{{Errc::io, "gone"}}));
  EXPECT_EQ(std::get<TurnBegun>(queue.take(0)->update).prompt_tokens, 7);
  EXPECT_EQ(std::get<TurnCall>(queue.take(0)->update).name, "f");
  const auto other = queue.take(0);
  EXPECT_EQ(other->choice, 1);
  EXPECT_EQ(std::get<TurnText>(other->update).text, "b");
  EXPECT_TRUE(std::holds_alternative<TurnEnd>(queue.take(0)->update));
  EXPECT_EQ(std::get<TurnFailed>(queue.take(0)->update).error.message, "gone");
  EXPECT_FALSE(queue.take(0));
}

TEST(TurnQueue, MakesOneUpdateOfWhatBelongsTogether) {
  TurnQueue queue(1);
  for (int i = 1; i <= 3; ++i) queue.put(0, TurnReading{i, 3});
  queue.put(0, TurnThinking{"Let "});
  queue.put(0, TurnThinking{"me see"});
  TokenLogprobs first, second;
  first.token = 1, second.token = 2;
  queue.put(0, TurnText{"a", {first}});
  queue.put(0, TurnText{"b", {second}});
  queue.put(0, TurnArguments{0, "{\"a\":"});
  queue.put(0, TurnArguments{0, " 1}"});
  queue.put(0, TurnArguments{1, "{}"});
  EXPECT_EQ(std::get<TurnReading>(queue.take(0)->update).done, 3);
  EXPECT_EQ(std::get<TurnThinking>(queue.take(0)->update).text, "Let me see");
  const auto said = std::get<TurnText>(queue.take(0)->update);
  EXPECT_EQ(said.text, "ab");
  ASSERT_EQ(said.logprobs.size(), 2u);
  EXPECT_EQ(said.logprobs[1].token, 2);
  EXPECT_EQ(std::get<TurnArguments>(queue.take(0)->update).json, "{\"a\": 1}");
  EXPECT_EQ(std::get<TurnArguments>(queue.take(0)->update).index, 1);
}

TEST(TurnQueue, GivesUpAReaderWhoIsTooFarBehind) {
  TurnQueue queue(1, 2000);
  int taken = 0;
  while (queue.put(0, text(std::string(100, 'x'))) && taken < 1000) ++taken;
  EXPECT_GT(taken, 10);
  EXPECT_LT(taken, 30);
  EXPECT_TRUE(queue.put(0, TurnEnd{}));  // whatever the end was
  EXPECT_EQ(std::get<TurnText>(queue.take(0)->update).text.size(), static_cast<size_t>(taken) * 100);
  EXPECT_EQ(std::get<TurnFailed>(queue.take(0)->update).error.code, Errc::busy);
  EXPECT_FALSE(queue.take(0));
}

TEST(TurnQueue, HoldsNothingAgainstAReaderWhoKeepsUp) {
  TurnQueue queue(1, 2000);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(queue.put(0, text(std::string(100, 'x'))));
    ASSERT_TRUE(queue.put(0, TurnThinking{std::string(100, 'x')}));
    ASSERT_TRUE(queue.take(0));
    ASSERT_TRUE(queue.take(0));
  }
}

TEST(TurnQueue, SaysThatNothingHappens) {
  TurnQueue queue(1);
  EXPECT_TRUE(std::holds_alternative<TurnIdle>(queue.take(0.01)->update));
  std::thread writer([&] { queue.put(0, text("late")); });
  EXPECT_EQ(std::get<TurnText>(queue.take(0)->update).text, "late");
  writer.join();
}

TEST(TurnQueue, TakesNothingForAReaderWhoHasGone) {
  TurnQueue queue(1);
  queue.close();
  EXPECT_FALSE(queue.put(0, text("a")));
  EXPECT_FALSE(queue.put(0, TurnEnd{}));
  EXPECT_FALSE(queue.take(0));
}

}  // namespace
}  // namespace quern
