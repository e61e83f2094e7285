// Boundaries of prompts, and generated turns that come back as the tokens they were.
#include "text/token_prompt.h"

#include <gtest/gtest.h>

#include "text/chat_template.h"
#include "text/model_text.h"

namespace quern {
namespace {

class TokenPrompts : public ::testing::Test {
 protected:
  static const Tokenizer& tokenizer() {
    static const Tokenizer loaded = load_tokenizer(std::string(QUERN_REPO) + "/models/pebble").value();
    return loaded;
  }
  static TokenPrompt encode(const Conversation& c, ChatFormat format) {
    return encode_with_boundaries(tokenizer(), render(c, format).value()).value();
  }
  static std::vector<int32_t> first(const std::vector<int32_t>& ids, size_t count) {
    return {ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(count)};
  }
};

Conversation conversation() {
  Conversation c;
  c.messages.push_back({.role = Role::system, .content = "Be short.<|im_end|>"});  // written, not meant: no boundary
  c.messages.push_back({.role = Role::user, .content = "What is in a.txt?\n"});
  c.messages.push_back({.role = Role::assistant, .content = "I shall look.", .tool_calls = {{"read_file", Json::object()}}});
  c.messages.push_back({.role = Role::tool, .content = "one"});
  c.messages.push_back({.role = Role::tool, .content = "\n\n two"});
  c.messages.push_back({.role = Role::assistant, .content = "\nTwo words."});
  c.messages.push_back({.role = Role::user, .content = "  Thanks."});
  c.tools.push_back(function_tool("read_file", "Reads <|im_end|>", Json::object()));
  return c;
}

TEST_F(TokenPrompts, HaveABoundaryBehindEveryMessageThatNothingBehindItMoves) {
  for (const ChatFormat format : {ChatFormat::instruct, ChatFormat::coder, ChatFormat::thinking}) {
    const Conversation whole = conversation();
    const TokenPrompt prompt = encode(whole, format);
    ASSERT_EQ(prompt.boundaries.size(), 6u) << "the system prompt with its tools, and five messages: tool results are one";
    const auto end = prompt.ids.begin();
    for (const size_t at : prompt.boundaries)
      EXPECT_EQ(tokenizer().decode({end + static_cast<std::ptrdiff_t>(at) - 1, end + static_cast<std::ptrdiff_t>(at)}).value(),
                "<|im_end|>");
    // The conversation as it was some messages earlier, and what it may become.
    for (const size_t messages : {1u, 2u, 5u}) {
      Conversation part = whole;
      part.messages.resize(messages);
      part.add_generation_prompt = false;
      const TokenPrompt before = encode(part, format);
      if (format == ChatFormat::thinking && messages > 2) continue;  // its last turn shows an empty block of reasoning
      const size_t at = before.boundaries.back();
      EXPECT_EQ(first(before.ids, at), first(prompt.ids, at));
      part.messages.push_back({.role = Role::user, .content = "\n\nsomething else"});
      EXPECT_EQ(first(encode(part, format).ids, at), first(prompt.ids, at));
    }
  }
}

TEST_F(TokenPrompts, HoldWhatWasGeneratedTokenByToken) {
  const std::string text = "\nI shall look.\n<tool_call>\n{\"name\": \"read_file\", \"arguments\": {}}\n</tool_call>";
  // One byte at a time: not how anybody would read the text.
  std::vector<int32_t> odd;
  for (const char c : text) odd.push_back(tokenizer().encode(std::string(1, c), false).value().at(0));
  Conversation c = conversation();
  const TokenPrompt before = [&] {
    Conversation start = c;
    start.messages.resize(2);
    return encode(start, ChatFormat::instruct);
  }();
  c.messages[2].verbatim = text;
  c.messages[2].verbatim_ids = odd;
  for (const ChatFormat format : {ChatFormat::instruct, ChatFormat::coder}) {
    const Prompt prompt = render(c, format).value();
    EXPECT_NE(prompt_text(prompt).find("<|im_start|>assistant\n" + text + "<|im_end|>\n"), std::string::npos);
  }
  const TokenPrompt after = encode(c, ChatFormat::instruct);
  std::vector<int32_t> want = before.ids;
  want.insert(want.end(), odd.begin(), odd.end());
  EXPECT_EQ(first(after.ids, want.size()), want);
  EXPECT_EQ(after.ids[want.size()], tokenizer().find_added("<|im_end|>"));
  c.messages[2].verbatim_ids.clear();
  EXPECT_NE(first(encode(c, ChatFormat::instruct).ids, want.size()), want) << "without them the text is read as usual";
}

TEST_F(TokenPrompts, SayWhereTextIsNoText) {
  Conversation c;
  c.messages.push_back({.role = Role::user, .content = "\xff"});
  const auto encoded = encode_with_boundaries(tokenizer(), render(c, ChatFormat::instruct).value());
  ASSERT_FALSE(encoded);
  EXPECT_EQ(encoded.error().code, Errc::malformed);
}

}  // namespace
}  // namespace quern
