// Generation under a constraint: what it guarantees, what is forced, and where it ends. The model is `tiny`, which would write noise; its
// tokenizer has every byte (id = byte; 1 is the end), some longer tokens, and the tags.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <thread>

#include "base/utf8.h"
#include "constrain/constraint.h"
#include "runtime/tiny_engine_test.h"

namespace quern {
namespace {

using namespace model_test;

constexpr int32_t kToolCall = 400, kEnd = 1;

std::string tokenizer() {
  std::vector<std::string> alphabet;
  char32_t next = 256;
  for (char32_t b = 0; b < 256; ++b) {
    const bool printable = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || (b >= 0xAE && b <= 0xFF);
    append_utf8(alphabet.emplace_back(), printable ? b : next++);
  }
  Json vocab = Json::object(), merges = Json::array();
  for (int32_t b = 0; b < 256; ++b) vocab[alphabet[static_cast<size_t>(b)]] = b;
  int32_t id = 256;
  for (const auto& [left, right] : {std::pair("n", "a"),
                                    {"m", "e"},
                                    {"na", "me"},
                                    {"t", "r"},
                                    {"tr", "u"},
                                    {"tru", "e"},
                                    {"{", "\""},
                                    {"\"", ":"},
                                    {"\"", ","},
                                    {"Ġ", "\""},
                                    {"a", "b"},
                                    {"ab", "c"},
                                    {"1", "2"}}) {
    vocab[std::string(left) + right] = id++;
    merges.push_back(Json::Array{left, right});
  }
  const Json tags = Json::parse(R"([{"id": 400, "content": "<tool_call>", "special": false},
                                    {"id": 401, "content": "</tool_call>", "special": false},
                                    {"id": 402, "content": "<|im_end|>", "special": true}])",
                                "tags")
                        .value();
  return tokenizer_json(std::move(vocab), std::move(merges), tags);
}

std::unique_ptr<Machine> schema(std::string_view text) {
  auto machine = compile_schema(Json::parse(text, "schema").value(), {});
  EXPECT_TRUE(machine) << machine.error().message;
  return std::move(*machine);
}
std::unique_ptr<Machine> regex(std::string_view pattern) {
  auto machine = compile_regex(pattern);
  EXPECT_TRUE(machine) << machine.error().message;
  return std::move(*machine);
}

class Constrained : public TinyEngine {
 protected:
  Constrained() : TinyEngine(tokenizer()) {}
  static Generation generate(const Engine& engine, Matcher& constraint, GenerateRequest request) {
    Session session(engine);
    request.prompt = {72, 105, 58};
    request.constraint = &constraint;
    auto done = session.generate(request);
    EXPECT_TRUE(done) << done.error().message;
    return done ? std::move(*done) : Generation{};
  }
  static std::string bytes(const Engine& engine, std::span<const int32_t> ids) {
    std::string out;
    for (const int32_t id : ids) out += engine.tokenizer()->token_bytes(id);
    return out;
  }
};

constexpr std::string_view kPerson = R"({"type": "object", "properties": {
  "name": {"type": "string", "maxLength": 6}, "grown": {"type": "boolean"}, "age": {"type": "integer", "minimum": 0, "maximum": 120},
  "kind": {"enum": ["abcabc", "abc, \"name\""]}}, "required": ["name", "age", "kind"], "additionalProperties": false})";

TEST_F(Constrained, TextsSatisfyTheirSchemaWhateverTheModelWants) {
  const auto e = engine();
  Matcher matcher(schema(kPerson), e->vocabulary());
  for (uint64_t seed = 0; seed < 30; ++seed)
    for (const bool force : {false, true}) {
      matcher.restart();
      const Generation out =
          generate(*e, matcher,
                   {.sampling = {.temperature = static_cast<double>(seed % 3), .seed = seed}, .max_tokens = 200, .force = force});
      ASSERT_TRUE(out.complete) << out.text;
      EXPECT_EQ(out.finish, FinishReason::stop);
      EXPECT_EQ(out.forced_tokens > 0, force);
      EXPECT_EQ(out.text, bytes(*e, out.tokens));
      EXPECT_EQ(out.text, matcher.text());
      const auto value = Json::parse(out.text, "text");
      ASSERT_TRUE(value) << out.text;
      EXPECT_LE(value->find("age")->to_int64().value(), 120);
      EXPECT_TRUE(value->find("kind")->is_string() && value->find("name")->is_string());
    }
}

TEST_F(Constrained, AreGreedyWithAndWithoutForcedText) {
  const auto e = engine();
  for (const bool force : {false, true}) {
    Matcher matcher(schema(kPerson), e->vocabulary());
    const Generation first = generate(*e, matcher, {.max_tokens = 200, .force = force});
    matcher.restart();
    EXPECT_EQ(generate(*e, matcher, {.max_tokens = 200, .force = force}).tokens, first.tokens) << "the same again, caches or not";
  }
}

TEST_F(Constrained, TextThatLeavesNoChoiceIsAllForcedAndEndsByItself) {
  const auto e = engine();
  Matcher matcher(regex("name: abc 12 – true"), e->vocabulary());
  std::vector<int32_t> seen;
  GenerateRequest request;
  request.on_token = [&](const GeneratedToken& token) {
    seen.push_back(token.id);
    return true;
  };
  const Generation out = generate(*e, matcher, request);
  EXPECT_EQ(out.text, "name: abc 12 – true");
  EXPECT_EQ(out.forced_tokens, static_cast<int64_t>(out.tokens.size()));
  EXPECT_TRUE(out.complete);
  EXPECT_EQ(out.tokens, e->tokenizer()->encode("name: abc 12 – true", false).value()) << "cut as the tokenizer cuts it";
  EXPECT_EQ(seen, out.tokens);
  EXPECT_FALSE(matcher.finished()) << "no end token was needed";
}

TEST_F(Constrained, TheLastForcedTokenIsLeftToTheModel) {
  const auto e = engine();
  Matcher matcher(regex("name: ab(c|d)*"), e->vocabulary());
  const Generation out = generate(*e, matcher, {.max_tokens = 6});
  EXPECT_EQ(out.forced_tokens, 3) << "name : Ġ; ab may become abc";
}

TEST_F(Constrained, TagsAreSingleTokensAndOtherMarkupIsText) {
  const auto e = engine();
  Matcher tagged(regex("<tool_call>x"), e->vocabulary());
  EXPECT_EQ(generate(*e, tagged, {}).tokens, (std::vector<int32_t>{kToolCall, 'x'}));
  Matcher text(regex("<\\|im_end\\|>x"), e->vocabulary());
  const Generation out = generate(*e, text, {});
  EXPECT_EQ(out.text, "<|im_end|>x");
  EXPECT_EQ(out.tokens.size(), 11u);
}

TEST_F(Constrained, EndWhereTheBudgetOrTheContextDoesAndNeverPastIt) {
  const auto small = engine(12), e = engine();
  const std::string text = "abcabc name true 12";
  for (int64_t most = 0; most < 14; ++most) {
    Matcher matcher(regex(text), e->vocabulary());
    const Generation out = generate(*e, matcher, {.max_tokens = most});
    EXPECT_LE(static_cast<int64_t>(out.tokens.size()), most);
    EXPECT_EQ(out.text, matcher.text()) << "what was not said is taken back";
    EXPECT_EQ(out.complete, out.text == text);
    EXPECT_EQ(out.finish, out.complete ? FinishReason::stop : FinishReason::length);
    EXPECT_TRUE(out.complete || static_cast<int64_t>(out.tokens.size()) == most);
  }
  for (const char* pattern : {"abcabcabcabcabcabcabcabcabcabcabcabcabc", "[a-z]{40}"}) {
    Matcher matcher(regex(pattern), small->vocabulary());
    const Generation out = generate(*small, matcher, {});
    EXPECT_EQ(out.finish, FinishReason::context);
    EXPECT_EQ(out.tokens.size(), 10u) << "the last has no place of its own";
    EXPECT_EQ(out.text, matcher.text());
  }
}

TEST_F(Constrained, AreCancelledInTheMiddleOfForcedText) {
  const auto e = engine();
  Matcher matcher(regex("abc name true abc name true"), e->vocabulary());
  int seen = 0;
  GenerateRequest request;
  request.on_token = [&](const GeneratedToken&) { return ++seen < 3; };
  const Generation out = generate(*e, matcher, request);
  EXPECT_EQ(out.finish, FinishReason::cancelled);
  EXPECT_EQ(out.tokens.size(), 3u);
  EXPECT_EQ(matcher.text(), bytes(*e, out.tokens));
  EXPECT_FALSE(out.complete);
}

TEST_F(Constrained, StopStringsCutForcedTextToo) {
  const auto e = engine();
  Matcher matcher(regex("abc name true abc"), e->vocabulary());
  const Generation out = generate(*e, matcher, {.stop = {"me t"}});
  EXPECT_EQ(out.text, "abc na");
  EXPECT_EQ(out.finish, FinishReason::stop);
  EXPECT_FALSE(out.complete);
}

TEST_F(Constrained, EndAtAnEndTokenOnlyWhereTheTextMayEnd) {
  const auto e = engine();
  for (uint64_t seed = 0; seed < 10; ++seed) {
    Matcher matcher(regex("a{5,}"), e->vocabulary());
    const Generation out = generate(*e, matcher, {.sampling = {.temperature = 3, .seed = seed}, .max_tokens = 400});
    EXPECT_GE(out.text.size(), 5u);
    EXPECT_EQ(out.complete, matcher.finished());
    EXPECT_EQ(std::count(out.tokens.begin(), out.tokens.end(), kEnd), 0);
  }
}

TEST_F(Constrained, RefuseWhatCannotBeConstrained) {
  const auto e = engine();
  Matcher matcher(regex("a*"), e->vocabulary());
  Session session(*e);
  GenerateRequest request{.prompt = {1}, .ignore_eos = true, .constraint = &matcher};
  EXPECT_EQ(session.generate(request).error().code, Errc::invalid_argument);

  Vocabulary letters({"a", "b"}, {kEnd});
  Matcher impossible(regex("(c|d)x"), letters);
  request = {.prompt = {1}, .constraint = &impossible};
  EXPECT_EQ(session.generate(request).error().code, Errc::unsupported);

  const auto bare = Engine::load({.model = fixture("tiny"), .threads = 1});
  ASSERT_TRUE(bare);
  Session without(**bare);
  request = {.prompt = {1}, .constraint = &matcher};
  EXPECT_EQ(without.generate(request).error().code, Errc::not_found);
}

TEST_F(Constrained, TheVocabularyIsMadeOnceWhoeverAsks) {
  const auto e = engine();
  std::vector<const Vocabulary*> seen(8);
  std::vector<std::thread> threads;
  for (auto& one : seen) threads.emplace_back([&] { one = &e->vocabulary(); });
  for (std::thread& thread : threads) thread.join();
  for (const auto* one : seen) EXPECT_EQ(one, seen[0]);
  EXPECT_TRUE(e->vocabulary().is_end(kEnd));
  EXPECT_TRUE(e->vocabulary().is_end(402));
  EXPECT_EQ(e->vocabulary().bytes(kToolCall), "<tool_call>");
}

}  // namespace
}  // namespace quern
