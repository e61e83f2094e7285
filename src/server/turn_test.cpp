#include "server/turn.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>

#include "base/cold_file_test.h"
#include "constrain/constraint.h"
#include "constrain/turn_test.h"
#include "runtime/prefix_cache.h"

namespace quern {
namespace {

using testing::HasSubstr;

class Turns : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    model_ = new std::shared_ptr<ServedModel>(std::make_shared<ServedModel>());
    auto engine = Engine::load({.model = QUERN_REPO "/models/pebble", .threads = 2, .context = 2048});
    ASSERT_TRUE(engine) << engine.error().message;
    (*model_)->engine = std::move(*engine);
    (*model_)->replay = std::make_unique<ReplayStore>(*(*model_)->engine->tokenizer(), (*model_)->engine->chat_format());
    (*model_)->scheduler = std::make_unique<Scheduler>(*(*model_)->engine, SchedulerOptions{});
  }
  static void TearDownTestSuite() {
    delete model_;
    model_ = nullptr;
  }
  static const std::shared_ptr<ServedModel>& model() { return *model_; }

  static TurnRequest ask(std::string question, std::vector<Json> tools = {}) {
    Conversation conversation;
    Message message;
    message.content = std::move(question);
    conversation.messages.push_back(std::move(message));
    conversation.tools = std::move(tools);
    TurnRequest request;
    request.prompt = std::move(conversation);
    request.max_tokens = 60;
    return request;
  }

  struct Told {
    int64_t begun = 0;
    std::string text, thinking;
    std::vector<TurnCall> calls;
    std::vector<std::string> arguments;
    std::vector<TokenLogprobs> logprobs;
    std::optional<TurnEnd> end;
    std::optional<Error> error;
  };
  static std::vector<Told> all(TurnRequest request) {
    const auto choices = static_cast<size_t>(request.choices);
    auto stream = begin_turn(model(), std::move(request));
    EXPECT_TRUE(stream) << stream.error().message;
    std::vector<Told> told(choices);
    if (!stream) return told;
    while (auto update = stream->next()) {
      Told& own = told.at(static_cast<size_t>(stream->choice()));
      EXPECT_FALSE(own.end) << "something after the end";
      if (const auto* begun = std::get_if<TurnBegun>(&*update)) own.begun = begun->prompt_tokens;
      if (const auto* thinking = std::get_if<TurnThinking>(&*update)) own.thinking += thinking->text;
      if (auto* text = std::get_if<TurnText>(&*update)) {
        own.text += text->text;
        own.logprobs.insert(own.logprobs.end(), text->logprobs.begin(), text->logprobs.end());
      }
      if (const auto* call = std::get_if<TurnCall>(&*update)) own.calls.push_back(*call), own.arguments.emplace_back();
      if (const auto* arguments = std::get_if<TurnArguments>(&*update))
        own.arguments.at(static_cast<size_t>(arguments->index)) += arguments->json;
      if (const auto* end = std::get_if<TurnEnd>(&*update)) own.end = *end;
      if (const auto* failed = std::get_if<TurnFailed>(&*update)) own.error = failed->error;
    }
    for (const Told& own : told) EXPECT_TRUE(own.end || own.error);
    return told;
  }
  static Told one(TurnRequest request) { return all(std::move(request)).at(0); }
  static std::string refused(TurnRequest request) {
    auto stream = begin_turn(model(), std::move(request));
    return stream ? "it is not refused" : stream.error().message;
  }

 private:
  static inline std::shared_ptr<ServedModel>* model_ = nullptr;
};

TEST_F(Turns, SayWhatASessionWouldGenerate) {
  const TurnRequest request = ask("What is the capital of France?");
  GenerateRequest alone;
  alone.prompt = turn_prompt(*model(), request).value();
  alone.max_tokens = 60;
  Session session(*model()->engine);
  const Generation expected = session.generate(alone).value();
  const Told told = one(request);
  ASSERT_TRUE(told.end);
  EXPECT_EQ(told.text, expected.text);
  EXPECT_EQ(told.begun, static_cast<int64_t>(alone.prompt.size()));
  EXPECT_EQ(told.end->prompt_tokens, told.begun);
  EXPECT_EQ(told.end->tokens, static_cast<int64_t>(expected.tokens.size()));
  EXPECT_EQ(told.end->finish, expected.finish);
}

TEST_F(Turns, TakeTheirPromptAsTextOrTokensToo) {
  TurnRequest request = ask("");
  request.prompt = "Count: 1 2 3 4";
  const Told text = one(request);
  request.prompt = model()->engine->tokenizer()->encode("Count: 1 2 3 4", true).value();
  EXPECT_EQ(one(request).text, text.text);
  EXPECT_FALSE(text.text.empty());
}

TEST_F(Turns, MakeSeveralChoicesEachWithASeedOfItsOwn) {
  TurnRequest request = ask("");
  request.prompt = "Once upon a time";
  request.sampling = {.temperature = 2, .seed = 7};
  request.choices = 3;
  const auto told = all(request);
  EXPECT_EQ(told[0].begun, told[0].end->prompt_tokens);
  EXPECT_EQ(std::set<std::string>({told[0].text, told[1].text, told[2].text}).size(), 3u);
  request.choices = 1;
  request.sampling.seed = 8;
  EXPECT_EQ(one(request).text, told[1].text);
}

TEST_F(Turns, CallToolsWithArgumentsThatSatisfyThem) {
  for (uint64_t seed = 0; seed < 4; ++seed) {
    TurnRequest request = ask("How will the weather be in Ulm?", many_tools());
    request.choice = {.kind = ToolChoice::Kind::named, .name = "get_weather"};
    request.sampling = {.temperature = 1, .seed = seed};
    request.max_tokens = 200;
    const Told told = one(request);
    ASSERT_TRUE(told.end);
    EXPECT_EQ(told.text, "");
    std::set<std::string> ids;
    for (int64_t i = 0; i < told.end->calls; ++i) {
      EXPECT_EQ(told.calls.at(static_cast<size_t>(i)).name, "get_weather");
      ids.insert(told.calls[static_cast<size_t>(i)].id);
      const auto arguments = Json::parse(told.arguments[static_cast<size_t>(i)], "arguments");
      ASSERT_TRUE(arguments) << told.arguments[static_cast<size_t>(i)];
      EXPECT_TRUE(check_json(*tool_function(many_tools()[0]).find("parameters"), *arguments));
    }
    EXPECT_EQ(static_cast<int64_t>(ids.size()), told.end->calls);
    EXPECT_TRUE(told.end->calls > 0 || told.end->finish == FinishReason::length);
  }
}

TEST_F(Turns, MakeOneCallWhereOneIsAllowed) {
  TurnRequest request = ask("Go on.", many_tools());
  request.choice.kind = ToolChoice::Kind::required;
  request.parallel_calls = false;
  request.allowed_tools = {"write", "get_weather"};
  request.max_tokens = 300;
  const Told told = one(request);
  ASSERT_TRUE(told.end);
  EXPECT_LE(told.calls.size(), 1u);
  for (const TurnCall& call : told.calls) EXPECT_THAT(call.name, testing::AnyOf("write", "get_weather"));
  request.choice.kind = ToolChoice::Kind::none;
  EXPECT_TRUE(one(request).calls.empty());
}

TEST_F(Turns, AnswerWithTheJsonThatIsAskedFor) {
  const Json schema = Json::parse(R"({"type": "object", "properties": {"n": {"type": "integer", "minimum": 1, "maximum": 9}},
                                      "required": ["n"], "additionalProperties": false})",
                                  "schema")
                          .value();
  TurnRequest request = ask("A number, please.");
  request.schema = schema;
  for (const bool raw : {false, true}) {
    if (raw) request.prompt = "A number: ";
    const Told told = one(request);
    ASSERT_TRUE(told.end);
    const auto json = Json::parse(told.text, "answer");
    ASSERT_TRUE(json) << told.text;
    EXPECT_TRUE(check_json(schema, *json));
  }
}

TEST_F(Turns, EndAtAStopStringAndSayWhich) {
  TurnRequest request = ask("Which tools do you have?", many_tools());
  request.choice.kind = ToolChoice::Kind::none;
  const std::string whole = one(request).text;
  ASSERT_GT(whole.size(), 4u);
  request.stop = {"zzz", whole.substr(2, 2)};
  const Told told = one(request);
  EXPECT_EQ(told.text, whole.substr(0, whole.find(request.stop[1])));
  EXPECT_EQ(told.end->stop, request.stop[1]);
  EXPECT_EQ(told.end->finish, FinishReason::stop);
}

TEST_F(Turns, TellTheProbabilitiesOfWhatTheySay) {
  TurnRequest request = ask("What is the capital of France?");
  request.top_logprobs = 3;
  const Told told = one(request);
  std::string bytes;
  for (const TokenLogprobs& token : told.logprobs) {
    bytes += token.bytes;
    EXPECT_LE(token.logprob, 0);
    ASSERT_EQ(token.top.size(), 3u);
    EXPECT_GE(token.top[0].logprob, token.top[1].logprob);
    EXPECT_EQ(token.top[0].token, token.token) << "greedy";
  }
  EXPECT_EQ(bytes.substr(0, told.text.size()), told.text);
}

TEST_F(Turns, GoOnBehindTheBeginningThatTheyAreGiven) {
  TurnRequest request = ask("What is the capital of France?");
  request.prefill = "The capital of";
  const Told told = one(request);
  ASSERT_TRUE(told.end);
  EXPECT_EQ(told.text.find("The capital of"), std::string::npos);
  request.schema = Json::parse(R"({"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"],
                                   "additionalProperties": false})",
                               "schema")
                       .value();
  EXPECT_THAT(refused(request), HasSubstr("cannot begin"));
  request.prefill = "{\"a\":";
  EXPECT_THAT(one(request).text, testing::MatchesRegex(" ?(true|false)\\}"));
}

TEST_F(Turns, AreKnownAgainWhenAClientSendsThemBack) {
  TurnRequest request = ask("How will the weather be in Ulm?", many_tools());
  request.choice = {.kind = ToolChoice::Kind::named, .name = "get_weather"};
  request.parallel_calls = false;
  request.max_tokens = 300;
  const Told told = one(request);
  ASSERT_EQ(told.end->calls, 1);
  auto& conversation = std::get<Conversation>(request.prompt);
  Message said;
  said.role = Role::assistant;
  said.tool_calls.push_back({told.calls[0].name, Json::parse(told.arguments[0], "arguments").value().dump(Json::Spacing::compact)});
  conversation.messages.push_back(said);
  Message result;
  result.role = Role::tool;
  result.content = "sunny";
  conversation.messages.push_back(result);
  const int64_t before = model()->replay->stats().recognised;
  const std::vector<int32_t> again = turn_prompt(*model(), request).value();
  EXPECT_EQ(model()->replay->stats().recognised, before + 1);
  EXPECT_NE(model()->engine->tokenizer()->decode(again)->find(told.arguments[0]), std::string::npos);
}

TEST_F(Turns, RefuseWhatCannotBeDone) {
  TurnRequest request = ask("Hello", {tool("f", R"({"$ref": "http://127.0.0.1/"})")});
  EXPECT_THAT(refused(request), HasSubstr("tool 'f'"));
  request = ask("Hello");
  request.choice.kind = ToolChoice::Kind::required;
  EXPECT_THAT(refused(request), HasSubstr("no tool is offered"));
  request = ask(std::string(10000, '1'));
  EXPECT_THAT(refused(request), HasSubstr("> 2048, the model's maximum context length"));
  request.prompt = std::string();
  EXPECT_THAT(refused(request), HasSubstr("empty"));
  request.prompt = std::vector<int32_t>{1, 1'000'000};
  EXPECT_THAT(refused(request), HasSubstr("1000000"));
  request.prompt = std::vector<int32_t>{-1};
  EXPECT_THAT(refused(request), HasSubstr("-1"));
  request.prompt = std::string("\xFF");
  EXPECT_THAT(refused(request), HasSubstr("UTF-8"));
}

TEST_F(Turns, EndSoonWhenTheyAreCancelled) {
  TurnRequest request = ask("");
  request.prompt = "1, 2, 3, 4, 5,";
  request.max_tokens = 1500;
  request.sampling = {.temperature = 1, .seed = 1};
  request.schema = Json::parse(R"({"type": "array", "items": {"type": "integer"}, "minItems": 2000})", "schema").value();
  auto stream = begin_turn(model(), request);
  ASSERT_TRUE(stream) << stream.error().message;
  std::optional<TurnEnd> end;
  int64_t texts = 0;
  while (auto update = stream->next()) {
    if (std::holds_alternative<TurnText>(*update) && ++texts == 3) stream->cancel();
    if (const auto* last = std::get_if<TurnEnd>(&*update)) end = *last;
  }
  ASSERT_TRUE(end);
  EXPECT_EQ(end->finish, FinishReason::cancelled);
  EXPECT_LT(end->tokens, 1000);
  // And when nobody wants to know any more.
  {
    auto dropped = begin_turn(model(), request);
    ASSERT_TRUE(dropped);
    for (int i = 0; i < 3; ++i) dropped->next();
  }
  const auto start = std::chrono::steady_clock::now();
  while (model()->scheduler->stats().running > 0 && std::chrono::steady_clock::now() - start < std::chrono::seconds(10))
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(model()->scheduler->stats().running, 0);
}

TEST_F(Turns, TellHowMuchOfAModelHasComeFromTheDisk) {
  ColdFile weights(size_t{72} << 20);
  if (!weights.is_cold()) GTEST_SKIP() << "this file system keeps files in memory";
  model()->weights = std::make_unique<MappedResidency>(Mappings{weights.bytes()});
  std::atomic<bool> waits = false, go = false;
  std::thread slow([&] {  // as the first step is while the disk is waited for
    model()->scheduler->between_steps([&] {
      waits = true;
      while (!go) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    });
  });
  while (!waits) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  auto stream = begin_turn(model(), ask("What is the capital of France?"));
  EXPECT_TRUE(stream) << stream.error().message;
  int64_t told = 0, told_late = 0;
  bool first = true;
  while (auto update = stream ? stream->next() : std::nullopt) {
    if (const auto* disk = std::get_if<TurnFromDisk>(&*update)) {
      EXPECT_LT(disk->weights.resident, disk->weights.total);
      EXPECT_EQ(disk->weights.total, weights.bytes().size());
      if (++told == 2) go = true;
      told_late += !first;
    }
    if (std::holds_alternative<TurnText>(*update)) first = false;
    EXPECT_FALSE(std::holds_alternative<TurnIdle>(*update)) << "nobody asked for it";
  }
  go = true;
  slow.join();
  EXPECT_GE(told, 2);
  EXPECT_EQ(told_late, 0) << "the answer has begun";
  EXPECT_LT(resident_bytes(weights.bytes()), weights.bytes().size()) << "a short prompt does not have all of it read";
  std::string question;
  for (int i = 0; i < 300; ++i) question += "word ";
  EXPECT_TRUE(one(ask(question)).end);
  for (int i = 0; i < 1000 && resident_bytes(weights.bytes()) < weights.bytes().size(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(resident_bytes(weights.bytes()), weights.bytes().size()) << "a long one does";
  model()->weights.reset();
}

}  // namespace
}  // namespace quern
