// A model that was never trained writes noise. Held to the tools of its conversation, it writes valid calls, and nothing but them where calls
// are required. pebble's configuration and tokenizer; weights out of a formula. QUERN_TEST_CALLS asks for more than the calls that every
// run makes.
#include <gtest/gtest.h>

#include <cstdlib>

#include "agent/engine_model.h"
#include "agent/temporary_folder_test.h"
#include "base/file.h"
#include "constrain/constraint.h"
#include "convert/synth.h"
#include "eval/episodes.h"
#include "text/assistant_parser.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

// Schemas of several kinds, strings bounded: noise goes on for a thousand tokens before it happens to close one.
constexpr std::string_view kTools = R"JSON([
  {"name": "book_flight", "parameters": {"type": "object", "required": ["from", "to", "class"], "additionalProperties": false, "properties": {
    "from": {"type": "string", "pattern": "^[A-Z]{3}$"}, "to": {"type": "string", "pattern": "^[A-Z]{3}$"},
    "class": {"enum": ["economy", "business"]}, "bags": {"type": "integer", "minimum": 0, "maximum": 5}}}},
  {"name": "draw", "parameters": {"type": "object", "required": ["points", "closed"], "additionalProperties": false, "properties": {
    "closed": {"type": "boolean"}, "points": {"type": "array", "minItems": 2, "maxItems": 4, "items": {"type": "object",
      "required": ["x", "y"], "additionalProperties": false, "properties": {
        "x": {"type": "integer", "minimum": -9, "maximum": 9}, "y": {"type": "integer", "minimum": -9, "maximum": 9}}}}}}},
  {"name": "write_note", "parameters": {"type": "object", "required": ["text"], "additionalProperties": false, "properties": {
    "text": {"type": "string", "maxLength": 30}, "pinned": {"type": "boolean"}}}},
  {"name": "set", "parameters": {"type": "object", "required": ["key", "value"], "additionalProperties": false, "properties": {
    "key": {"type": "string", "minLength": 1, "maxLength": 8}, "value": {"type": ["string", "integer", "null"], "maxLength": 10}}}},
  {"name": "remind", "parameters": {"type": "object", "required": ["on", "who"], "additionalProperties": false, "properties": {
    "on": {"type": "string", "format": "date"}, "who": {"type": "array", "minItems": 1, "maxItems": 3, "items": {"enum": ["me", "you", "all"]}}}}},
  {"name": "status", "parameters": {"type": "object", "properties": {}, "additionalProperties": false}}
])JSON";

class LongUntrainedModel : public testing::TestWithParam<ChatFormat> {
 protected:
  void SetUp() override {
    const fs::path pebble = fs::path(QUERN_REPO) / "models" / "pebble";
    if (!fs::exists(pebble / "config.json")) GTEST_SKIP() << "models/pebble is not there";
    SynthOptions synth;
    synth.config = Json::parse(read_file(pebble / "config.json").value(), "config.json").value();
    ThreadPool pool(2);
    ASSERT_TRUE(synthesise(synth, folder_.path() / "model", pool));
    for (const char* name : {"tokenizer.json", "tokenizer_config.json", "generation_config.json"})
      fs::copy_file(pebble / name, folder_.path() / "model" / name);
    auto loaded = Engine::load({.model = folder_.path() / "model", .chat_format = GetParam()});
    ASSERT_TRUE(loaded) << loaded.error().message;
    engine_ = std::move(*loaded);
  }

  // Two of the tools above, or those of a generated service, whose strings have no bound.
  static std::vector<Json> tools(Random& random, bool bounded) {
    if (!bounded) return make_episode(Suite::single, Split::held_out, 2, random.below(1 << 30)).conversation.tools;
    const Json all = Json::parse(kTools, "tools").value();
    std::vector<Json> offered;
    const size_t first = random.below(all.size()), second = (first + 1 + random.below(all.size() - 1)) % all.size();
    for (const size_t i : {first, second}) {
      Json tool = Json::object();
      tool["type"] = "function";
      tool["function"] = all.as_array()[i];
      offered.push_back(std::move(tool));
    }
    return offered;
  }

  static Conversation ask(std::vector<Json> tools) {
    Conversation conversation;
    conversation.tools = std::move(tools);
    Message message;
    message.content = "Go on.";
    conversation.messages.push_back(std::move(message));
    return conversation;
  }

  // The schema alone, read anew, accepts the arguments as they are spelled.
  static bool accepts(const Json& tool, const Json& arguments) {
    const Json* parameters = tool.find("function")->find("parameters");
    auto machine = compile_schema(parameters ? *parameters : Json(true), {});
    if (!machine) return false;
    const std::string text = arguments.dump();
    auto state = std::optional((*machine)->start());
    for (size_t i = 0; i < text.size() && state; ++i)
      state = (*machine)->step(*state, static_cast<uint8_t>(text[i]), std::string_view(text).substr(0, i));
    return state && (*machine)->can_end(*state, text);
  }

  TemporaryFolder folder_;
  std::unique_ptr<Engine> engine_;
};

TEST_P(LongUntrainedModel, MakesNothingButValidCallsWhereCallsAreRequired) {
  const char* asked = std::getenv("QUERN_TEST_CALLS");
  const int64_t wanted = asked ? std::atoll(asked) : QUERN_LONG_TESTS ? 20 : 4;
  int64_t calls = 0, cut = 0, tokens = 0, forced = 0;  // a call that its budget cut is none
  double prefill_s = 0, decode_s = 0, constrain_s = 0;
  std::map<std::string, int64_t> by_name;
  for (uint64_t seed = 0; calls < wanted; ++seed) {
    ASSERT_LT(seed, static_cast<uint64_t>(2 * wanted)) << "too many turns were cut by their budget";
    Random random(seed);
    const bool bounded = seed % 32 != 7;
    const Conversation conversation = ask(tools(random, bounded));
    auto model = EngineModel::create(
        *engine_, {.sampling = {.temperature = 1, .seed = seed}, .choice = {.kind = ToolChoice::Kind::required, .name = {}}});
    ASSERT_TRUE(model) << model.error().message;
    const auto reply = (*model)->reply(conversation, bounded ? 400 : 800, [](std::string_view) { return true; });
    ASSERT_TRUE(reply) << reply.error().message;
    SCOPED_TRACE("seed " + std::to_string(seed) + ": " + reply->text);
    const AssistantTurn turn = parse_assistant(reply->text, GetParam(), conversation.tools);
    const bool complete = reply->finish == FinishReason::stop;
    ASSERT_TRUE(complete || reply->finish == FinishReason::length);
    if (complete) {
      EXPECT_EQ(turn.content, "");
      EXPECT_FALSE(turn.missing_opener);
    }
    for (const ParsedCall& call : turn.calls) {
      if (!complete && call.error) break;  // where the budget ended
      ASSERT_FALSE(call.error) << *call.error;
      const Json* tool = find_tool(conversation.tools, call.call.name);
      ASSERT_TRUE(tool) << call.call.name;
      const auto fits = check_arguments(*tool, call.call.arguments);
      EXPECT_TRUE(fits) << fits.error().message;
      EXPECT_TRUE(accepts(*tool, call.call.arguments)) << call.text;
      ++calls;
      ++by_name[call.call.name];
    }
    cut += complete ? 0 : 1;
    tokens += reply->tokens;
    forced += reply->forced_tokens;
    prefill_s += reply->prefill_s, decode_s += reply->decode_s, constrain_s += reply->constrain_s;
    EXPECT_FALSE(complete && turn.calls.empty());
  }
  if (asked)
    fmt::print(
        "{} valid calls, {} turns cut by their budget, {} tokens, {} of them forced; prompts {:.1f} s, tokens {:.1f} s, of it constraints {:.2f} s\n",
        calls, cut, tokens, forced, prefill_s, decode_s, constrain_s);
  EXPECT_GT(by_name.size(), wanted < 20 ? 1u : 3u);
}

TEST_P(LongUntrainedModel, NeverWritesACallOfItsOwnWhereItMaySayAnything) {
  for (uint64_t seed = 0; seed < 3; ++seed) {
    Random random(seed);
    const Conversation conversation = ask(tools(random, true));
    auto model = EngineModel::create(*engine_, {.sampling = {.temperature = 1, .seed = seed}});
    ASSERT_TRUE(model);
    const auto reply = (*model)->reply(conversation, 60, [](std::string_view) { return true; });
    ASSERT_TRUE(reply) << reply.error().message;
    const AssistantTurn turn = parse_assistant(reply->text, GetParam(), conversation.tools);
    EXPECT_FALSE(turn.missing_opener);
    for (const ParsedCall& call : turn.calls) EXPECT_TRUE(!call.error || reply->finish == FinishReason::length) << reply->text;
  }
}

TEST_P(LongUntrainedModel, AnswersWithTheJsonThatWasAskedFor) {
  int64_t answers = 0;
  for (uint64_t seed = 0; seed < 6; ++seed) {
    Random random(seed);
    Conversation conversation = ask(seed < 3 ? std::vector<Json>() : tools(random, true));
    conversation.answer_schema =
        Json::parse(R"({"type": "object", "properties": {"kind": {"enum": ["a", "b"]}, "n": {"type": "integer",
        "minimum": 0, "maximum": 99}}, "required": ["kind", "n"], "additionalProperties": false})",
                    "schema")
            .value();
    auto model = EngineModel::create(*engine_, {.sampling = {.temperature = 1, .seed = seed}});
    ASSERT_TRUE(model);
    const auto reply = (*model)->reply(conversation, 400, [](std::string_view) { return true; });
    ASSERT_TRUE(reply) << reply.error().message;
    const AssistantTurn turn = parse_assistant(reply->text, GetParam(), conversation.tools);
    if (reply->finish != FinishReason::stop || !turn.calls.empty()) continue;
    const auto value = Json::parse(turn.content, "answer");
    ASSERT_TRUE(value) << reply->text;
    EXPECT_TRUE(check_json(*conversation.answer_schema, *value)) << reply->text;
    ++answers;
  }
  EXPECT_GE(answers, 3);
}

TEST_P(LongUntrainedModel, IsNotHeldToAToolWhoseSchemaCannotBeEnforced) {
  Conversation conversation = ask({Json::parse(R"({"type": "function", "function": {"name": "odd", "parameters": {
      "type": "object", "properties": {"a": {"$ref": "https://example.org/other"}}}}})",
                                               "tool")
                                       .value()});
  auto model = EngineModel::create(*engine_, {});
  ASSERT_TRUE(model);
  const auto ready = (*model)->prepare(conversation.tools);
  ASSERT_FALSE(ready);
  EXPECT_NE(ready.error().message.find("tool 'odd': #/properties/a"), std::string::npos) << ready.error().message;
  EXPECT_FALSE((*model)->reply(conversation, 5, [](std::string_view) { return true; }));
  auto unconstrained = EngineModel::create(*engine_, {.constrained = false});
  ASSERT_TRUE(unconstrained);
  EXPECT_TRUE((*unconstrained)->reply(conversation, 5, [](std::string_view) { return true; }));
}

INSTANTIATE_TEST_SUITE_P(Formats, LongUntrainedModel, testing::Values(ChatFormat::instruct, ChatFormat::coder),
                         [](const auto& format) { return std::string(chat_format_name(format.param)); });

}  // namespace
}  // namespace quern
