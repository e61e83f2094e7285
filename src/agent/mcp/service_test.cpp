#include "agent/mcp/service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "agent/mcp/model_tools.h"

namespace quern {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// Answers with its prompt, a token a step, as slowly as a test likes.
class EchoModel : public TextModel {
 public:
  explicit EchoModel(std::string name) : name_(std::move(name)) {}
  Result<TextAnswer> generate(const TextRequest& request, const std::function<bool(int64_t)>& on_progress) override {
    TextAnswer answer;
    for (int64_t tokens = 0; tokens < request.max_tokens; ++tokens) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      if (!on_progress(tokens)) {
        answer.finish = FinishReason::cancelled;
        return answer;
      }
    }
    answer.text = request.schema ? R"({"a": 1.50})" : fmt::format("{}: {}|{}", name_, request.system, request.prompt);
    if (request.prompt == "cut") answer.finish = FinishReason::length;
    answer.tokens = request.max_tokens;
    return answer;
  }
  Result<int64_t> count_tokens(const std::string& text) override { return static_cast<int64_t>(text.size()); }
  int64_t context() const override { return 100; }

 private:
  std::string name_;
};

class Service : public testing::Test {
 protected:
  Service() {
    McpService::Options options;
    options.version = "1";
    options.tools = model_tools(shelf);
    options.resources = {models_resource(shelf)};
    options.write = [this](std::string_view line) {
      EXPECT_TRUE(line.ends_with('\n'));
      const std::lock_guard lock(mutex_);
      written_.push_back(Json::parse(line, "written").value());
    };
    service.emplace(std::move(options));
  }

  void start() {
    ask(R"({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": "2025-03-26", "capabilities": {}}})");
  }
  // What is written about it, once everything is done.
  std::vector<Json> ask(std::string_view line) {
    const size_t before = written().size();
    service->take(line);
    service->finish();
    const std::vector<Json> all = written();
    return {all.begin() + static_cast<ptrdiff_t>(before), all.end()};
  }
  Json call(std::string_view tool, std::string_view arguments) {
    const auto answers = ask(fmt::format(
        R"({{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {{"name": "{}", "arguments": {}}}}})", tool, arguments));
    EXPECT_EQ(answers.size(), 1u);
    return answers.empty() ? Json() : answers.back();
  }
  std::vector<Json> written() {
    const std::lock_guard lock(mutex_);
    return written_;
  }

  ModelShelf shelf{{{"one", "/models/one"}, {"two", "/models/two"}},
                   [this](const ShelfModel& entry) -> Result<std::unique_ptr<TextModel>> {
                     opened.push_back(entry.name);
                     if (entry.name == "two" && broken) return fail(Errc::malformed, "{}: no weights", entry.path);
                     return std::make_unique<EchoModel>(entry.name);
                   }};
  std::vector<std::string> opened;
  bool broken = false;
  std::optional<McpService> service;

 private:
  std::mutex mutex_;
  std::vector<Json> written_;
};

TEST_F(Service, GreetsAndSaysWhatItOffers) {
  const auto greeting =
      ask(R"({"jsonrpc": "2.0", "id": "i", "method": "initialize", "params": {"protocolVersion": "2024-11-05"}})");
  ASSERT_EQ(greeting.size(), 1u);
  EXPECT_EQ(greeting[0].find("id")->as_string(), "i");
  const Json& result = *greeting[0].find("result");
  EXPECT_EQ(string_member(result, "protocolVersion"), "2024-11-05");
  EXPECT_EQ(string_member(*result.find("serverInfo"), "name"), "quern");
  EXPECT_TRUE(ask(R"({"jsonrpc": "2.0", "method": "notifications/initialized"})").empty());
  const auto tools = ask(R"({"jsonrpc": "2.0", "id": 2, "method": "tools/list"})");
  std::vector<std::string> names;
  for (const Json& tool : tools[0].find("result")->find("tools")->as_array()) names.push_back(string_member(tool, "name"));
  EXPECT_THAT(names, ElementsAre("generate", "ask_with_schema", "count_tokens", "list_models"));
  EXPECT_THAT(tools[0].dump(), HasSubstr(R"("enum": ["one", "two"])"));
  EXPECT_EQ(ask(R"({"jsonrpc": "2.0", "id": 3, "method": "ping"})")[0].find("result")->dump(), "{}");
  EXPECT_THAT(ask(R"({"jsonrpc": "2.0", "id": 4, "method": "resources/read", "params": {"uri": "quern://models"}})")[0].dump(),
              HasSubstr("/models/two"));
  EXPECT_THAT(opened, testing::IsEmpty());  // nothing was needed so far
}

TEST_F(Service, OffersItsNewestVersionToWhoeverWantsAnother) {
  const auto greeting = ask(R"({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2099-01-01"}})");
  EXPECT_EQ(string_member(*greeting[0].find("result"), "protocolVersion"), "2025-06-18");
}

TEST_F(Service, AnswersWithTextAndWithNumbers) {
  start();
  const Json answer = call("generate", R"({"prompt": "hello", "system": "be kind", "max_tokens": 3})");
  EXPECT_EQ(answer.find("result")->find("content")->dump(), R"([{"type": "text", "text": "one: be kind|hello"}])");
  EXPECT_EQ(answer.find("result")->find("structuredContent")->find("tokens")->dump(), "3");
  EXPECT_EQ(answer.find("result")->find("isError")->dump(), "false");
  const Json json = call("ask_with_schema", R"({"prompt": "x", "schema": {}, "model": "two"})");
  EXPECT_EQ(json.find("result")->find("structuredContent")->find("value")->dump(), R"({"a": 1.50})");
  EXPECT_EQ(call("count_tokens", R"({"text": "12345"})").find("result")->find("structuredContent")->dump(),
            R"({"tokens": 5, "context": 100})");
  EXPECT_THAT(opened, ElementsAre("one", "two", "one"));  // one at a time
}

TEST_F(Service, SaysWhatWentWrong) {
  start();
  broken = true;
  const Json cut = call("ask_with_schema", R"({"prompt": "cut", "schema": {}, "max_tokens": 2})");
  EXPECT_THAT(cut.dump(), AllOf(HasSubstr("the answer was cut after 2 tokens"), HasSubstr(R"("isError": true)")));
  EXPECT_THAT(call("count_tokens", R"({"text": "x", "model": "two"})").dump(), HasSubstr("/models/two: no weights"));
  const auto code = [](const Json& answer) {
    return answer.find("error") ? answer.find("error")->find("code")->dump() : answer.dump();
  };
  EXPECT_EQ(code(call("generate", "{}")), "-32602");
  EXPECT_EQ(code(call("generate", R"({"prompt": 7})")), "-32602");
  EXPECT_EQ(code(call("generate", R"({"prompt": "x", "model": "three"})")), "-32602");
  EXPECT_EQ(code(call("generate", R"({"prompt": "x", "extra": 1})")), "-32602");
  EXPECT_EQ(code(call("generate", R"({"prompt": "x", "max_tokens": 0})")), "-32602");
  EXPECT_EQ(code(call("obliterate", "{}")), "-32602");
  EXPECT_EQ(code(ask(R"({"jsonrpc": "2.0", "id": 1, "method": "completion/complete"})")[0]), "-32601");
  EXPECT_EQ(code(ask(R"({"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": {"uri": "file:///etc/passwd"}})")[0]),
            "-32602");
  EXPECT_EQ(code(ask("{")[0]), "-32700");
  EXPECT_EQ(code(ask("[]")[0]), "-32700");
  service->refuse_line("too long");
  EXPECT_EQ(code(written().back()), "-32600");
}

TEST_F(Service, WantsToBeGreetedFirst) {
  const auto answer = ask(R"({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})");
  EXPECT_THAT(answer[0].dump(), HasSubstr("expected initialize first"));
  EXPECT_THAT(call("generate", R"({"prompt": "x"})").dump(), HasSubstr("expected initialize first"));
}

TEST_F(Service, ReportsProgressToWhoeverAskedForIt) {
  start();
  const auto lines =
      ask(R"({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "generate", "_meta": {"progressToken": "t"},)"
          R"( "arguments": {"prompt": "x", "max_tokens": 600}}})");
  ASSERT_GE(lines.size(), 3u);
  EXPECT_LE(lines.size(), 20u);  // four a second
  double last = -1;
  for (size_t i = 0; i + 1 < lines.size(); ++i) {
    EXPECT_EQ(string_member(lines[i], "method"), "notifications/progress");
    const Json& params = *lines[i].find("params");
    EXPECT_EQ(string_member(params, "progressToken"), "t");
    EXPECT_GT(params.find("progress")->as_double(), last);
    last = params.find("progress")->as_double();
    EXPECT_EQ(params.find("total")->as_double(), 600);
  }
}

TEST_F(Service, CancelsWhatRunsAndWhatWaits) {
  start();
  const size_t before = written().size();
  for (int id = 1; id <= 3; ++id)
    service->take(fmt::format(R"({{"jsonrpc": "2.0", "id": {}, "method": "tools/call", "params": {{"name": "generate",)"
                              R"( "arguments": {{"prompt": "x", "max_tokens": {}}}}}}})",
                              id, id == 3 ? 1 : 1000000));
  service->take(R"({"jsonrpc": "2.0", "id": 9, "method": "ping"})");
  EXPECT_EQ(written().back().find("id")->dump(), "9");  // at once
  for (int id = 2; id >= 1; --id)
    service->take(fmt::format(R"({{"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {{"requestId": {}}}}})", id));
  service->finish();
  std::vector<std::string> ids;
  for (size_t i = before; i < written().size(); ++i) ids.push_back(written()[i].find("id")->dump());
  EXPECT_THAT(ids, ElementsAre("9", "3"));
}

TEST_F(Service, EndsInTheMiddleOfWork) {
  start();
  service->take(
      R"({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "generate", "arguments": {"prompt": "x", "max_tokens": 1000000}}})");
  const auto begin = std::chrono::steady_clock::now();
  service.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

}  // namespace
}  // namespace quern
