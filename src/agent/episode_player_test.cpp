#include "agent/episode_player.h"

#include <gtest/gtest.h>

#include "agent/temporary_folder_test.h"
#include "eval/episodes.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> said(const EpisodeRecord& record) {
  std::vector<std::string> texts;
  for (const Message& message : record.played.messages)
    if (message.verbatim) texts.push_back(*message.verbatim);
  return texts;
}

TEST(LongEpisodePlayer, GoesOnFromASavedStateAsIfNothingHadHappened) {
  const fs::path pebble = fs::path(QUERN_REPO) / "models" / "pebble";
  if (!fs::exists(pebble / "config.json")) GTEST_SKIP() << "models/pebble is not there";
  const auto engine = Engine::load({.model = pebble});
  ASSERT_TRUE(engine) << engine.error().message;
  const TemporaryFolder folder;
  PlayWork whole, resumed;
  for (const uint64_t seed : {1, 2}) {
    const ToolEpisode episode = make_episode(Suite::chain, Split::training, 8, seed);
    const auto straight = play_episode(**engine, episode, {}, whole);
    ASSERT_TRUE(straight) << straight.error().message;
    for (const int64_t at : {1, 5}) {
      const auto cut =
          play_episode(**engine, episode, {.choice = {}, .resume_at = at, .state_file = folder.path() / "state"}, resumed);
      ASSERT_TRUE(cut) << cut.error().message;
      EXPECT_EQ(said(*cut), said(*straight)) << "resumed after " << at << " calls";
    }
  }
  EXPECT_EQ(resumed.resumed, 4);
  EXPECT_GT(resumed.resumed_read_tokens, 0);
  EXPECT_LT(resumed.resumed_read_tokens, resumed.resumed_prompt_tokens / 4) << "the state was taken up";
  EXPECT_EQ(whole.resumed, 0);

  const ToolEpisode episode = make_episode(Suite::chain, Split::training, 8, 1);
  const auto nowhere =
      play_episode(**engine, episode, {.choice = {}, .resume_at = 2, .state_file = folder.path() / "none" / "state"}, resumed);
  EXPECT_FALSE(nowhere);
}

}  // namespace
}  // namespace quern
