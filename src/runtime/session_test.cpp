// Generation: how it ends, what it reuses, what it refuses. The model is `tiny`, whose words mean nothing; its tokenizer is made here.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "constrain/constraint.h"
#include "runtime/engine_impl.h"
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
      asked.on_token = [&](const GeneratedToken& token) {
        streamed += token.text;
        return true;
      };
      Session session(*e);
      const Generation out = generate(session, asked);
      EXPECT_EQ(out.finish, FinishReason::stop);
      EXPECT_EQ(out.text, text.substr(0, text.find(stop))) << "stop " << stop;
      EXPECT_EQ(streamed, out.text);
      EXPECT_EQ(out.stop, stop);
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
  asked.on_token = [&](const GeneratedToken&) { return ++seen < 3; };
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

TEST_F(Sessions, TellProbabilitiesWithoutChangingAnything) {
  const auto e = engine();
  Session plain(*e), telling(*e);
  GenerateRequest asked = request({1, 2, 3}, 8);
  const Generation want = generate(plain, asked);
  asked.top_logprobs = 3;
  std::vector<int32_t> seen;
  asked.on_token = [&](const GeneratedToken& token) {
    seen.push_back(token.id);
    EXPECT_TRUE(token.logprob && *token.logprob < 0);
    EXPECT_EQ(token.top.size(), 3u);
    double sum = 0;
    for (size_t i = 0; i < token.top.size(); ++i) {
      EXPECT_TRUE(i == 0 || token.top[i].logprob <= token.top[i - 1].logprob);
      EXPECT_TRUE(token.top[i].id != token.id || token.top[i].logprob == *token.logprob);
      sum += std::exp(token.top[i].logprob);
    }
    EXPECT_LT(sum, 1);
    EXPECT_LE(*token.logprob, token.top[0].logprob);
    return true;
  };
  EXPECT_EQ(generate(telling, asked).tokens, want.tokens);
  EXPECT_EQ(seen, want.tokens);
}

TEST_F(Sessions, PenaltiesAndBiasesReachTheSampler) {
  const auto e = engine();
  Session session(*e);
  GenerateRequest asked = request({1, 2, 3}, 60);
  asked.sampling = {.temperature = 0, .presence_penalty = 1000};
  Generation out = generate(session, asked);
  std::sort(out.tokens.begin(), out.tokens.end());
  EXPECT_EQ(std::adjacent_find(out.tokens.begin(), out.tokens.end()), out.tokens.end()) << "no token twice";
  asked.sampling = {.temperature = 0, .logit_bias = {{77, 1000.0f}}};
  EXPECT_EQ(generate(session, asked).tokens, std::vector<int32_t>(60, 77));
  asked.sampling = {.temperature = 0, .repetition_penalty = 0};
  EXPECT_EQ(session.generate(asked).error().code, Errc::invalid_argument);
  asked.sampling = {.temperature = 0, .logit_bias = {{512, 1.0f}}};
  EXPECT_EQ(session.generate(asked).error().code, Errc::out_of_range);
}

TEST_F(Sessions, EmbedATextAsTheMeanOfItsHiddenStates) {
  const auto e = engine();
  std::vector<int32_t> text(700);
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<int32_t>(i * 13 % 500);
  const auto whole = e->embed(text);
  ASSERT_TRUE(whole);
  std::vector<double> sum;
  Timeline timeline(*e->impl().runner);
  for (const int32_t id : text) {
    ASSERT_TRUE(timeline.feed(std::vector<int32_t>{id}));
    const Tensor hidden = e->impl().workspace->final_hidden;
    sum.resize(static_cast<size_t>(hidden.cols));
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += static_cast<double>(hidden.row(0)[i]);
  }
  ASSERT_EQ(whole->size(), sum.size());
  for (size_t i = 0; i < sum.size(); ++i) EXPECT_NEAR(static_cast<double>((*whole)[i]), sum[i] / 700, 1e-5);
  EXPECT_EQ(e->embed({}).error().code, Errc::invalid_argument);
}

// Thinking: three letters a token still, and the tags.
class ThinkingSessions : public TinyEngine {
 protected:
  static constexpr int32_t kThink = 500, kThinkEnd = 501, kNewline = 502;
  static std::string thinking_tokenizer() {
    Json vocab = Json::object(), added = Json::array();
    for (int32_t id = 0; id < 500; ++id) vocab[letters(id)] = id;
    vocab["Ċ"] = kNewline;
    for (const auto& [id, text] : {std::pair(kThink, "<think>"), {kThinkEnd, "</think>"}}) {
      Json token = Json::object();
      token["id"] = id, token["content"] = text, token["special"] = false;
      added.push_back(std::move(token));
    }
    return tokenizer_json(std::move(vocab), Json::array(), std::move(added));
  }
  ThinkingSessions() : TinyEngine(thinking_tokenizer()) {}
  static Generation generate(const Engine& e, std::vector<int32_t> prompt, std::optional<int64_t> budget, Matcher* constraint,
                             int64_t max_tokens = 40) {
    Session session(e);
    GenerateRequest request{.prompt = std::move(prompt), .sampling = {.temperature = 1, .seed = 5}, .max_tokens = max_tokens};
    for (const int32_t id : {0, 1, 2, kThink, kThinkEnd}) request.sampling.logit_bias.push_back({id, -1000.0f});
    request.ignore_eos = constraint == nullptr;
    request.reasoning_tokens = budget;
    request.constraint = constraint;
    auto out = session.generate(request);
    EXPECT_TRUE(out) << out.error().message;
    return std::move(*out);
  }
};

TEST_F(ThinkingSessions, CloseTheThoughtWhereItsBudgetIsSpent) {
  const auto e = engine();
  const Generation free = generate(*e, {7, kThink, kNewline}, {}, nullptr);
  EXPECT_EQ(free.reasoning_tokens, 40) << "by itself it would never end";
  for (const int64_t budget : {0, 1, 5, 38}) {
    const Generation out = generate(*e, {7, kThink, kNewline}, budget, nullptr);
    ASSERT_EQ(out.tokens.size(), 40u);
    const auto end = std::find(out.tokens.begin(), out.tokens.end(), kThinkEnd);
    const int64_t newline = budget == 0 || free.tokens[static_cast<size_t>(budget - 1)] == kNewline ? 0 : 1;
    EXPECT_EQ(end - out.tokens.begin(), budget + newline);
    EXPECT_TRUE(std::equal(out.tokens.begin(), out.tokens.begin() + budget, free.tokens.begin()));
    EXPECT_EQ(out.reasoning_tokens, budget + newline + 1);
    EXPECT_EQ(out.forced_tokens, std::min<int64_t>(newline + 3, 40 - budget));
  }
}

TEST_F(ThinkingSessions, LeaveAloneWhoDoesNotThink) {
  const auto e = engine();
  const std::vector<int32_t> closed = {7, kThink, kNewline, kThinkEnd, kNewline, 9};
  const Generation free = generate(*e, closed, {}, nullptr), out = generate(*e, closed, 3, nullptr);
  EXPECT_EQ(out.tokens, free.tokens);
  EXPECT_EQ(out.reasoning_tokens, 0);
}

TEST_F(ThinkingSessions, CloseTheThoughtThroughTheConstraint) {
  const auto e = engine();
  auto machine = compile_regex("[a-h\\n]{1,60}</think>\\n\\n[a-h]{6}");
  ASSERT_TRUE(machine) << machine.error().message;
  Matcher matcher(std::move(*machine), e->vocabulary());
  const Generation out = generate(*e, {7, kThink, kNewline}, 4, &matcher);
  EXPECT_EQ(out.finish, FinishReason::stop);
  EXPECT_TRUE(out.complete);
  const size_t end = out.text.find("</think>\n\n");
  ASSERT_NE(end, std::string::npos) << out.text;
  EXPECT_LE(end, 13u);
  EXPECT_EQ(out.text.size(), end + 10 + 6);
  EXPECT_EQ(matcher.text(), out.text);
}

}  // namespace
}  // namespace quern
