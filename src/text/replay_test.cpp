// Generated turns that come back in a client's words become the tokens they were; anything else stays what the client wrote.
#include "text/replay.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "base/file.h"
#include "base/random.h"
#include "text/model_text.h"
#include "text/token_prompt.h"

namespace quern {
namespace {

class Replay : public ::testing::Test {
 protected:
  static const Tokenizer& tokenizer() {
    static const Tokenizer loaded = load_tokenizer(std::string(QUERN_REPO) + "/models/pebble").value();
    return loaded;
  }
  // A text as a model may write it: markup as its single tokens, the rest in pieces that nobody would cut it into.
  static std::vector<int32_t> as_generated(std::string_view text) {
    std::vector<int32_t> ids;
    while (!text.empty()) {
      size_t length = 1;
      for (const std::string_view tag : {"<tool_call>", "</tool_call>", "<think>", "</think>"})
        if (text.starts_with(tag)) length = tag.size();
      const auto piece = tokenizer().encode(text.substr(0, length), true).value();
      ids.insert(ids.end(), piece.begin(), piece.end());
      text.remove_prefix(length);
    }
    return ids;
  }
  static Conversation asked(std::string_view question = "Read a.txt") {
    Conversation c;
    c.messages.push_back({.role = Role::system, .content = "Be short."});
    c.messages.push_back({.role = Role::user, .content = std::string(question)});
    c.tools.push_back(function_tool("read_file", "Reads", Json::object()));
    return c;
  }
  // The conversation with an assistant message as a client sends it, in OpenAI's form.
  static Conversation with(Conversation c, std::string_view message) {
    const std::string text = fmt::format(R"({{"messages": [{}]}})", message);
    c.messages.push_back(Conversation::from_json(Json::parse(text, "test").value()).value().messages.at(0));
    c.messages.push_back({.role = Role::user, .content = "Go on."});
    return c;
  }
  static bool recalls(ReplayStore& store, Conversation c, const std::vector<int32_t>& generated) {
    store.recall(c);
    return c.messages[c.messages.size() - 2].verbatim_ids == generated;
  }

  ReplayStore store_{tokenizer(), ChatFormat::instruct};
};

constexpr std::string_view kCall =
    "I'll look.\n<tool_call>\n{\"name\": \"read_file\", \"arguments\": {\"path\": \"a.txt\", \"lines\": [1, 2.0], \"deep\": "
    "{\"b\": 1000, \"a\": null}}}\n</tool_call>";

TEST_F(Replay, KnowsACallHoweverAClientWritesIt) {
  const auto generated = as_generated(kCall);
  store_.remember(asked(), generated);
  for (const std::string_view message :
       {// Arguments as OpenAI's clients send them, with an id, spaced as they like.
        R"({"role": "assistant", "content": "I'll look.", "tool_calls": [{"id": "call_1", "type": "function", "function":
              {"name": "read_file", "arguments": "{\"path\":\"a.txt\",\"lines\":[1,2],\"deep\":{\"a\":null,\"b\":1e3}}"}}]})",
        // As Ollama's do, re-ordered, the text with what was between it and the call.
        R"({"role": "assistant", "content": "I'll look.\n", "tool_calls": [{"function":
              {"name": "read_file", "arguments": {"deep": {"b": 1000.0, "a": null}, "lines": [1.0, 2], "path": "a.txt"}}}]})",
        // With reasoning of no length.
        R"({"role": "assistant", "content": " I'll  look. ", "reasoning_content": "", "tool_calls": [{"function":
              {"name": "read_file", "arguments": {"lines": [1, 2.0], "path": "a.txt", "deep": {"b": 1000, "a": null}}}}]})"}) {
    EXPECT_TRUE(recalls(store_, with(asked(), message), generated)) << message;
  }
  EXPECT_EQ(store_.stats().recognised, 3);
}

TEST_F(Replay, KnowsNoMessageThatSaysSomethingElse) {
  const auto generated = as_generated(kCall);
  store_.remember(asked(), generated);
  for (const std::string_view message : {
           R"({"role": "assistant", "content": "I'll look!", "tool_calls": [{"function":
              {"name": "read_file", "arguments": {"path": "a.txt", "lines": [1, 2], "deep": {"b": 1000, "a": null}}}}]})",
           R"({"role": "assistant", "content": "I'll look.", "tool_calls": [{"function":
              {"name": "read_file", "arguments": {"path": "b.txt", "lines": [1, 2], "deep": {"b": 1000, "a": null}}}}]})",
           R"({"role": "assistant", "content": "I'll look.", "tool_calls": [{"function":
              {"name": "read_file", "arguments": {"path": "a.txt", "lines": [2, 1], "deep": {"b": 1000, "a": null}}}}]})",
           R"({"role": "assistant", "content": "I'll look.", "tool_calls": []})", R"({"role": "user", "content": "I'll look."})"}) {
    Conversation c = with(asked(), message);
    EXPECT_EQ(store_.recall(c), 0u) << message;
    EXPECT_FALSE(c.messages[2].verbatim);
  }
}

TEST_F(Replay, MakesTheNextPromptBeginWithTheTokensThatWereGenerated) {
  const auto generated = as_generated(kCall);
  Conversation c = asked();
  std::vector<int32_t> held = encode_with_boundaries(tokenizer(), render(c, ChatFormat::instruct).value())->ids;
  store_.remember(c, generated);
  held.insert(held.end(), generated.begin(), generated.end());
  Conversation next = with(c, R"({"role": "assistant", "content": "I'll look.", "tool_calls": [{"function":
              {"name": "read_file", "arguments": "{\"lines\":[1,2],\"path\":\"a.txt\",\"deep\":{\"a\":null,\"b\":1000}}"}}]})");
  const auto first = [&] {
    auto ids = encode_with_boundaries(tokenizer(), render(next, ChatFormat::instruct).value())->ids;
    ids.resize(held.size());
    return ids;
  };
  EXPECT_NE(first(), held) << "as the client wrote it, the conversation parts from what is held";
  EXPECT_EQ(store_.recall(next), 1u);
  EXPECT_EQ(first(), held);
}

TEST_F(Replay, OfEqualTurnsMeansTheOneBehindTheSameMessages) {
  const auto once = as_generated("Done."), again = as_generated("Done.\n\n"), third = as_generated(" Done.");
  store_.remember(asked("one"), once);
  store_.remember(asked("two"), again);
  store_.remember(asked("three"), third);
  const std::string_view message = R"({"role": "assistant", "content": "Done."})";
  EXPECT_TRUE(recalls(store_, with(asked("one"), message), once));
  EXPECT_TRUE(recalls(store_, with(asked("two"), message), again));
  EXPECT_TRUE(recalls(store_, with(asked("three"), message), third));
  EXPECT_TRUE(recalls(store_, with(asked("four"), message), third)) << "behind unknown messages: the latest that was of use";
  Conversation other_system = with(asked("one"), message);
  other_system.messages[0].content = "Today is another day.";
  EXPECT_TRUE(recalls(store_, other_system, once));
}

TEST_F(Replay, GivesAThinkingModelItsReasoningBackThatTheClientLeftOut) {
  ReplayStore store(tokenizer(), ChatFormat::thinking);
  const auto generated = as_generated("Hm, a file.\n</think>\n\n" + std::string(kCall));
  Conversation c = asked();
  std::vector<int32_t> held = encode_with_boundaries(tokenizer(), render(c, ChatFormat::thinking).value())->ids;
  held.insert(held.end(), generated.begin(), generated.end());
  store.remember(c, generated);
  const std::string call = R"("tool_calls": [{"function":
      {"name": "read_file", "arguments": {"path": "a.txt", "lines": [1, 2], "deep": {"b": 1000, "a": null}}}}])";
  Conversation next = with(c, R"({"role": "assistant", "content": "I'll look.", )" + call + "}");
  next.messages.back() = {.role = Role::tool, .content = "text of a.txt"};
  EXPECT_EQ(store.recall(next), 1u);
  const TokenPrompt prompt = encode_with_boundaries(tokenizer(), render(next, ChatFormat::thinking).value()).value();
  EXPECT_TRUE(std::equal(held.begin(), held.end(), prompt.ids.begin()));
  // A new question: the template leaves old reasoning out, and the prompt parts at the end of the question before it.
  next.messages.push_back({.role = Role::user, .content = "And now?"});
  const TokenPrompt later = encode_with_boundaries(tokenizer(), render(next, ChatFormat::thinking).value()).value();
  EXPECT_FALSE(std::equal(held.begin(), held.end(), later.ids.begin()));
  EXPECT_EQ(later.boundaries[1], prompt.boundaries[1]);
  // Who did not have this conversation does not get its reasoning.
  EXPECT_FALSE(recalls(store, with(asked("else"), R"({"role": "assistant", "content": "I'll look.", )" + call + "}"), generated));
  // Reasoning that somebody changed is no longer this turn.
  EXPECT_FALSE(
      recalls(store, with(c, R"({"role": "assistant", "content": "I'll look.", "reasoning": "Aha.", )" + call + "}"), generated));
  EXPECT_TRUE(recalls(store, with(c, R"({"role": "assistant", "content": "I'll look.", "reasoning": "Hm, a file.", )" + call + "}"),
                      generated));
}

TEST_F(Replay, KeepsNothingThatNobodyCouldSendBack) {
  store_.remember(asked(), {});
  store_.remember(asked(), as_generated("  \n"));
  store_.remember(asked(), as_generated("<tool_call>\n{\"name\": \"read_file\", \"argum"));  // cut
  store_.remember(asked(), tokenizer().encode("a<|im_start|>b", true).value());
  EXPECT_EQ(store_.stats().turns, 0);
}

TEST_F(Replay, StaysWithinItsBytes) {
  ReplayStore store(tokenizer(), ChatFormat::instruct, 4000);
  for (int i = 0; i < 100; ++i) store.remember(asked(fmt::format("question {}", i)), as_generated(fmt::format("answer {}", i)));
  EXPECT_LE(store.stats().bytes, 4000u);
  EXPECT_GT(store.stats().turns, 5);
  EXPECT_TRUE(
      recalls(store, with(asked("question 99"), R"({"role": "assistant", "content": "answer 99"})"), as_generated("answer 99")));
  EXPECT_FALSE(
      recalls(store, with(asked("question 0"), R"({"role": "assistant", "content": "answer 0"})"), as_generated("answer 0")));
}

class KeptReplay : public Replay {
 protected:
  ~KeptReplay() override { std::filesystem::remove(path_); }
  void put(std::string_view what) const { std::ofstream(path_, std::ios::binary | std::ios::trunc) << what; }
  const std::filesystem::path path_ = std::filesystem::temp_directory_path() / fmt::format("quern-replay-{}", ::getpid());
};

TEST_F(KeptReplay, SurvivesAProcessThatIsKilled) {
  ASSERT_TRUE(store_.keep_in(path_));
  store_.remember(asked(), as_generated(kCall));
  store_.remember(asked("two"), as_generated("Yes."));
  ReplayStore again(tokenizer(), ChatFormat::instruct);  // the other one was not told of its end
  ASSERT_TRUE(again.keep_in(path_));
  EXPECT_EQ(again.stats().turns, 2);
  const std::string_view message = R"({"role": "assistant", "content": "Yes."})";
  EXPECT_TRUE(recalls(again, with(asked("two"), message), as_generated("Yes.")));
  again.remember(asked("three"), as_generated("No."));
  // Cut anywhere, it has the turns that were whole.
  const std::string bytes = read_file(path_).value();
  for (size_t at = bytes.find('\n') + 1; at < bytes.size(); at += 11) {
    put(std::string_view(bytes).substr(0, at));
    ReplayStore fresh(tokenizer(), ChatFormat::instruct);
    ASSERT_TRUE(fresh.keep_in(path_)) << at;
    EXPECT_LT(fresh.stats().turns, 3);
  }
}

TEST_F(KeptReplay, TakesNothingThatIsDamagedOrAnothersAndBeginsAnew) {
  ASSERT_TRUE(store_.keep_in(path_));
  store_.remember(asked(), as_generated(kCall));
  store_.remember(asked("two"), as_generated("Yes."));
  const std::string bytes = read_file(path_).value();
  for (size_t at = 0; at < bytes.size(); at += 11) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 4);
    put(damaged);
    ReplayStore fresh(tokenizer(), ChatFormat::instruct);
    const auto kept = fresh.keep_in(path_);
    EXPECT_LT(fresh.stats().turns, 2) << at;
    fresh.remember(asked("three"), as_generated("No."));
    ReplayStore after(tokenizer(), ChatFormat::instruct);
    EXPECT_TRUE(after.keep_in(path_)) << "the rest is gone from it, " << at;
    EXPECT_EQ(after.stats().turns, fresh.stats().turns) << at;
  }
  put(bytes);
  ReplayStore other(tokenizer(), ChatFormat::coder);
  EXPECT_EQ(other.keep_in(path_).error().code, Errc::mismatch);
  EXPECT_EQ(other.stats().turns, 0);
  ReplayStore nowhere(tokenizer(), ChatFormat::instruct);
  EXPECT_FALSE(nowhere.keep_in("/nonexistent/folder/turns"));
  nowhere.remember(asked(), as_generated(kCall));
  EXPECT_EQ(nowhere.stats().turns, 1);
}

TEST_F(KeptReplay, GrowsNoLargerThanItHasTo) {
  ReplayStore store(tokenizer(), ChatFormat::instruct, 4000);
  ASSERT_TRUE(store.keep_in(path_));
  const auto answer = as_generated(std::string(3000, 'a'));
  for (int i = 0; i < 400; ++i) store.remember(asked(fmt::format("question {}", i)), answer);
  EXPECT_LT(std::filesystem::file_size(path_), (size_t{1} << 20) + 40000);
}

}  // namespace
}  // namespace quern
