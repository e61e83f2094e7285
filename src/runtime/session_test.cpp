// Generation: how it ends, what it reuses, what it refuses. The model is `tiny`, whose words mean nothing; its tokenizer is made here.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "runtime/tiny_engine_test.h"

namespace quern {
namespace {

using namespace model_test;

// Three letters a token, from "aaa" on, so that stop strings fall across the borders of tokens. Ids 0 to 511.
std::string letters(int32_t id) {
  return {static_cast<char>('a' + id / 64), static_cast<char>('a' + id / 8 % 8), static_cast<char>('a' + id % 8)};
}

std::string tokenizer() {
  Json vocab = Json::object();
  for (int32_t id = 0; id < 512; ++id) vocab[letters(id)] = id;
  return tokenizer_json(std::move(vocab), Json::array(), Json::array());
}

class Sessions : public TinyEngine {
 protected:
  Sessions() : TinyEngine(tokenizer()) {}
  static Generation generate(Session& session, GenerateRequest request) {
    auto done = session.generate(request);
    EXPECT_TRUE(done) << done.error().message;
    return std::move(*done);
  }
  static GenerateRequest request(std::vector<int32_t> prompt, int64_t max_tokens) {
    return {.prompt = std::move(prompt), .sampling = {.temperature = 1, .seed = 5}, .max_tokens = max_tokens, .ignore_eos = true};
  }
};

TEST_F(Sessions, GiveTheTextOfTheirTokensAndEndAtTheNumberAsked) {
  const auto e = engine();
  Session session(*e);
  const Generation out = generate(session, request({1, 2, 3}, 20));
  EXPECT_EQ(out.finish, FinishReason::length);
  ASSERT_EQ(out.tokens.size(), 20u);
  std::string text;
  for (const int32_t id : out.tokens) text += letters(id);
  EXPECT_EQ(out.text, text);
  EXPECT_EQ(generate(session, request({1, 2, 3}, 0)).tokens.size(), 0u);
}

TEST_F(Sessions, StopAtAStringThatLiesAcrossTokensAndGiveOutNothingOfIt) {
  const auto e = engine();
  Session whole(*e);
  const std::string text = generate(whole, request({1, 2, 3}, 20)).text;
  for (size_t at = 1; at + 5 <= text.size(); ++at) {
    for (const size_t length : {1, 2, 4, 5}) {
      const std::string stop = text.substr(at, length);
      GenerateRequest asked = request({1, 2, 3}, 20);
      asked.stop = {"never said", stop, ""};
      std::string streamed;
      asked.on_token = [&](int32_t, std::string_view part) {
        streamed += part;
        return true;
      };
      Session session(*e);
      const Generation out = generate(session, asked);
      EXPECT_EQ(out.finish, FinishReason::stop);
      EXPECT_EQ(out.text, text.substr(0, text.find(stop))) << "stop " << stop;
      EXPECT_EQ(streamed, out.text);
    }
  }
}

TEST_F(Sessions, GiveOutInTheEndWhatOnlyBeganLikeAStopString) {
  const auto e = engine();
  Session whole(*e), session(*e);
  const std::string text = generate(whole, request({4}, 6)).text;
  GenerateRequest asked = request({4}, 6);
  asked.stop = {text.substr(text.size() - 4) + "!"};
  const Generation out = generate(session, asked);
  EXPECT_EQ(out.finish, FinishReason::length);
  EXPECT_EQ(out.text, text);
}

TEST_F(Sessions, EndWhereTheContextDoes) {
  const auto e = engine(12);
  EXPECT_EQ(e->context(), 12);
  Session session(*e);
  const Generation out = generate(session, request({1, 2, 3}, 100));
  EXPECT_EQ(out.finish, FinishReason::context);
  EXPECT_EQ(out.tokens.size(), 10u);  // the last is generated from position 12 and has no place of its own
}

TEST_F(Sessions, RefuseAPromptLongerThanTheContextOrOutsideTheVocabulary) {
  const auto e = engine(12);
  Session session(*e);
  const auto error = [&](std::vector<int32_t> prompt) { return session.generate(request(std::move(prompt), 1)).error(); };
  EXPECT_EQ(error(std::vector<int32_t>(13, 1)).code, Errc::out_of_range);
  EXPECT_NE(error(std::vector<int32_t>(13, 1)).message.find("--context"), std::string::npos);
  EXPECT_EQ(error({1, 512}).code, Errc::out_of_range);
  EXPECT_EQ(error({-1}).code, Errc::out_of_range);
  EXPECT_EQ(error({}).code, Errc::invalid_argument);
  EXPECT_EQ(generate(session, request({1}, 2)).tokens.size(), 2u) << "an error leaves the session usable";
}

TEST_F(Sessions, AreCancelledWhileTheyReadThePromptAndGoOnFromThere) {
  const auto e = engine();
  Session session(*e), whole(*e);
  std::vector<int32_t> prompt(1100);
  for (size_t i = 0; i < prompt.size(); ++i) prompt[i] = static_cast<int32_t>(i * 7 % 500);
  GenerateRequest cancelled = request(prompt, 5);
  cancelled.on_prefill = [](int64_t done, int64_t total) {
    EXPECT_EQ(total, 1100);
    return done < 1024;
  };
  const Generation out = generate(session, cancelled);
  EXPECT_EQ(out.finish, FinishReason::cancelled);
  EXPECT_TRUE(out.tokens.empty());
  const Generation again = generate(session, request(prompt, 5));
  EXPECT_EQ(again.reused_tokens, 1024);
  EXPECT_EQ(again.tokens, generate(whole, request(prompt, 5)).tokens);
}

TEST_F(Sessions, AreCancelledByTheirReader) {
  const auto e = engine();
  Session session(*e);
  GenerateRequest asked = request({1, 2}, 50);
  int seen = 0;
  asked.on_token = [&](int32_t, std::string_view) { return ++seen < 3; };
  const Generation out = generate(session, asked);
  EXPECT_EQ(out.finish, FinishReason::cancelled);
  EXPECT_EQ(out.tokens.size(), 3u);
}

TEST_F(Sessions, EndAtAnEndTokenUnlessToldToIgnoreIt) {
  const auto e = engine();
  GenerateRequest asked = request({1, 2, 3}, 3000);
  Session ignoring(*e), minding(*e);
  const Generation all = generate(ignoring, asked);
  const auto end = std::find(all.tokens.begin(), all.tokens.end(), 1);  // eos_token_id of tiny's config.json
  ASSERT_NE(end, all.tokens.end());
  asked.ignore_eos = false;
  const Generation out = generate(minding, asked);
  EXPECT_EQ(out.finish, FinishReason::stop);
  EXPECT_EQ(out.tokens, std::vector<int32_t>(all.tokens.begin(), end));
}

// A conversation: each turn repeats the one before it and adds to it, or goes back behind the answer.
TEST_F(Sessions, ReuseWhatTheyHoldWithoutChangingAnything) {
  const auto e = engine();
  Session session(*e);
  std::vector<int32_t> prompt = {10, 11, 12, 13, 14, 15, 16, 17, 18, 19};
  const Generation first = generate(session, request(prompt, 30));
  EXPECT_EQ(first.reused_tokens, 0);

  std::vector<int32_t> other = prompt;  // the answer is thrown away: back to the end of the first prompt
  other.insert(other.end(), {20, 21});
  const Generation second = generate(session, request(other, 5));
  EXPECT_EQ(second.reused_tokens, 10);
  Session fresh(*e);
  EXPECT_EQ(generate(fresh, request(other, 5)).tokens, second.tokens);

  std::vector<int32_t> onward = other;  // the answer is kept: all of it but the last token, which was never fed
  onward.insert(onward.end(), second.tokens.begin(), second.tokens.end());
  onward.push_back(30);
  EXPECT_EQ(generate(session, request(onward, 5)).reused_tokens, 16);
}

}  // namespace
}  // namespace quern
