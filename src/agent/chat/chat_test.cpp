#include "agent/chat/chat.h"

#include <gmock/gmock.h>

#include "agent/scripted_model_test.h"

namespace quern {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Says how many messages it was shown; counts the forks that were made of it, which are what a real model's state would be.
class CountingModel : public ChatModel {
 public:
  explicit CountingModel(std::string name) : name_(std::move(name)) {}
  ChatFormat format() const override { return ChatFormat::instruct; }
  Result<Reply> reply(const Conversation& conversation, int64_t, const std::function<bool(std::string_view)>& on_token) override {
    Reply reply;
    reply.text = next.empty() ? fmt::format("{} saw {}", name_, conversation.messages.size()) : std::exchange(next, {});
    reply.finish = on_token(reply.text) ? finish : FinishReason::cancelled;
    reply.tokens = 1;
    return reply;
  }
  std::unique_ptr<ChatModel> fork() const override { return std::make_unique<CountingModel>(name_ + "'"); }

  std::string next;
  FinishReason finish = FinishReason::stop;

 private:
  std::string name_;
};

class ChatTest : public testing::Test {
 protected:
  std::string ask(const std::string& question) { return chat.ask(question, tools, options).answer; }
  CountingModel& model() { return static_cast<CountingModel&>(chat.model()); }
  std::vector<std::string> texts() const {
    std::vector<std::string> out;
    for (const Message& m : chat.messages()) out.push_back(m.content);
    return out;
  }

  Chat chat{std::make_unique<CountingModel>("m")};
  ToolRegistry tools;
  LoopOptions options;
};

TEST_F(ChatTest, GoesBackToTheStateOfThen) {
  EXPECT_EQ(ask("one"), "m saw 1");
  EXPECT_EQ(ask("two"), "m saw 3");
  EXPECT_EQ(chat.undo(), "two");
  EXPECT_THAT(texts(), ElementsAre("one", "m saw 1"));
  EXPECT_EQ(ask("three"), "m' saw 3");  // the state from before "two"
  EXPECT_EQ(chat.undo(), "three");
  EXPECT_EQ(chat.undo(), "one");
  EXPECT_EQ(chat.undo(), std::nullopt);
  EXPECT_EQ(ask("four"), "m' saw 1");
  for (int i = 0; i < 10; ++i) ask("more");
  for (int i = 0; i < 10; ++i) EXPECT_EQ(chat.undo(), "more");  // further back than states are kept
  EXPECT_EQ(chat.messages().size(), 2U);
}

TEST_F(ChatTest, BranchesKnowNothingOfOneAnother) {
  ask("one");
  ASSERT_TRUE(chat.fork("side"));
  EXPECT_EQ(ask("two"), "m' saw 3");
  ASSERT_TRUE(chat.switch_to("main"));
  EXPECT_EQ(chat.messages().size(), 2U);
  EXPECT_EQ(ask("three"), "m saw 3");
  EXPECT_THAT(chat.branches(), ElementsAre("main", "side"));
  EXPECT_EQ(chat.messages_of("side"), 4U);
  EXPECT_EQ(chat.fork("side").error().code, Errc::invalid_argument);
  EXPECT_EQ(chat.fork("a/b").error().code, Errc::invalid_argument);
  EXPECT_EQ(chat.switch_to("none").error().code, Errc::not_found);
}

TEST_F(ChatTest, KeepsWhatWasSaidOfAnAnswerThatWasCut) {
  model().finish = FinishReason::length;
  model().next = "Half an ans";
  EXPECT_EQ(chat.ask("one", tools, options).status, RunStatus::failed);
  EXPECT_THAT(texts(), ElementsAre("one", "Half an ans"));
  model().next = "I shall <tool_call>\n{\"name\": \"del";
  chat.ask("two", tools, options);
  EXPECT_THAT(texts(), ElementsAre("one", "Half an ans", "two", "I shall "));
  EXPECT_EQ(chat.messages().back().verbatim, "I shall ");
  options.cancelled = [] { return true; };
  EXPECT_EQ(chat.ask("three", tools, options).status, RunStatus::cancelled);
  EXPECT_EQ(chat.messages().size(), 4U);  // nothing was said
}

TEST_F(ChatTest, TheSystemPromptIsAtTheBeginningOfEveryBranch) {
  chat.set_system("Be good.");
  ask("one");
  ASSERT_TRUE(chat.fork("side"));
  chat.set_system("Be better.");
  EXPECT_EQ(texts()[0], "Be better.");
  ASSERT_TRUE(chat.switch_to("main"));
  EXPECT_THAT(texts(), ElementsAre("Be better.", "one", "m saw 2"));
  EXPECT_EQ(chat.undo(), "one");
  EXPECT_TRUE(chat.messages().empty());
  ask("two");
  EXPECT_THAT(texts(), ElementsAre("Be better.", "two", "m saw 2"));
  chat.set_system("");
  EXPECT_THAT(texts(), ElementsAre("two", "m saw 2"));
  chat.clear();
  EXPECT_TRUE(chat.messages().empty());
}

TEST_F(ChatTest, AnotherModelReadsWhatWasSaidAsText) {
  ask("one");
  EXPECT_TRUE(chat.messages().back().verbatim);
  chat.replace_model([] { return std::make_unique<CountingModel>("n"); });
  EXPECT_FALSE(chat.messages().back().verbatim);
  EXPECT_EQ(ask("two"), "n saw 3");
}

}  // namespace
}  // namespace quern
