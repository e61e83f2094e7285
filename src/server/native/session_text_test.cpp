#include "server/native/session_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace quern {
namespace {

const Engine& pebble(ChatFormat format) {
  static std::map<ChatFormat, std::unique_ptr<Engine>> engines;
  std::unique_ptr<Engine>& engine = engines[format];
  if (!engine) {
    auto loaded = Engine::load({.model = QUERN_REPO "/models/pebble", .threads = 1, .chat_format = format});
    EXPECT_TRUE(loaded) << loaded.error().message;
    engine = std::move(*loaded);
  }
  return *engine;
}

Conversation conversation(std::vector<Message> messages, bool answer) {
  Conversation made;
  made.messages = std::move(messages);
  made.add_generation_prompt = answer;
  return made;
}
std::vector<int32_t> read(const Engine& engine, std::vector<Message> messages, bool answer) {
  return tokens_behind(engine, {}, conversation(std::move(messages), answer)).value();
}
std::vector<int32_t> joined(std::vector<int32_t> held, const std::vector<int32_t>& more) {
  held.insert(held.end(), more.begin(), more.end());
  return held;
}

const Message kSystem{.role = Role::system, .content = "Be brief."};
const Message kHello{.role = Role::user, .content = "Hello <|im_end|>"};
const Message kAnswer{.role = Role::assistant, .content = "Hi."};
const Message kResult{.role = Role::tool, .content = "It is 7."};

class SessionText : public testing::TestWithParam<ChatFormat> {};

TEST_P(SessionText, WhatComesBehindIsWhatTheWholeConversationHasThere) {
  const Engine& engine = pebble(GetParam());
  for (const std::vector<Message>& more :
       {std::vector<Message>{kHello}, {kResult}, {kResult, kResult, kHello}, {kSystem, kHello}}) {
    std::vector<Message> all{kSystem, kHello, kAnswer};
    const std::vector<int32_t> past = read(engine, all, false);
    all.insert(all.end(), more.begin(), more.end());
    const std::vector<int32_t> want = read(engine, all, true);
    // Past ends with the line break behind the end of a turn, with that end, or with what was generated before it.
    for (size_t less = 0; less < 3; ++less) {
      const std::vector<int32_t> held(past.begin(), past.end() - static_cast<std::ptrdiff_t>(less));
      const auto behind = tokens_behind(engine, held, conversation(more, true));
      ASSERT_TRUE(behind) << behind.error().message;
      EXPECT_EQ(joined(held, *behind), want) << less;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, SessionText, testing::Values(ChatFormat::instruct, ChatFormat::coder),
                         [](const auto& format) { return std::string(chat_format_name(format.param)); });

TEST(SessionTextThinking, OpensItsReasoning) {
  const Engine& engine = pebble(ChatFormat::thinking);
  const std::vector<int32_t> past = read(engine, {kHello}, true);
  const auto behind = tokens_behind(engine, past, conversation({kHello}, true));
  ASSERT_TRUE(behind);
  const std::string text = engine.tokenizer()->decode(*behind).value();
  EXPECT_EQ(text, "<|im_end|>\n<|im_start|>user\nHello <|im_end|><|im_end|>\n<|im_start|>assistant\n<think>\n");
}

TEST(SessionTextRefusals, MessagesNeedAConversation) {
  const Engine& engine = pebble(ChatFormat::instruct);
  const std::vector<int32_t> text = tokens_of(engine, "Once <|im_start|>").value();
  const auto behind = tokens_behind(engine, text, conversation({kHello}, true));
  ASSERT_FALSE(behind);
  EXPECT_EQ(behind.error().code, Errc::mismatch);
}

}  // namespace
}  // namespace quern
