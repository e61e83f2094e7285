#include "server/turn_updates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "constrain/turn_test.h"
#include "server/unique_id.h"

namespace quern {
namespace {

// What a client is told of a turn whose text comes in pieces of `size` bytes, as one line: thinking in (), calls as f#id{…}, the text plain.
std::string told(TurnUpdates updates, std::string_view text, size_t size) {
  std::vector<TurnUpdate> made;
  for (size_t i = 0; i < text.size(); i += size)
    EXPECT_TRUE(updates.token({.id = 1, .text = text.substr(i, size), .logprob = {}, .top = {}}, made));
  updates.finish(made);
  std::string line;
  bool thinking = false;
  for (const TurnUpdate& update : made) {
    const auto* thought = std::get_if<TurnThinking>(&update);
    if (thinking != (thought != nullptr)) line += thinking ? ")" : "(";
    thinking = thought != nullptr;
    if (thought) line += thought->text;
    if (const auto* said = std::get_if<TurnText>(&update)) line += said->text;
    if (const auto* call = std::get_if<TurnCall>(&update)) line += fmt::format("[{} {}]", call->index, call->name);
    if (const auto* arguments = std::get_if<TurnArguments>(&update)) line += arguments->json;
  }
  return line + (thinking ? ")" : "") + fmt::format(" /{}", updates.calls());
}

TEST(TurnUpdates, TellsReasoningAndTextHoweverTheyAreCut) {
  for (size_t size = 1; size < 12; ++size) {
    EXPECT_EQ(told(TurnUpdates({.thinking = true}), "Well,\n <b> < </thin k\n</think>\n\nYes </think>.\n", size),
              "(Well,\n <b> < </thin k)Yes </think>. /0");
    EXPECT_EQ(told(TurnUpdates({.thinking = true}), "only </thi", size), "(only </thi) /0");
    EXPECT_EQ(told(TurnUpdates({}), " A <tool_call> where there is no tool \n", size),
              " A <tool_call> where there is no tool \n /0");
    EXPECT_EQ(told(TurnUpdates({.raw = true, .thinking = true}), " a</think>b ", size), " a</think>b  /0");
  }
}

TEST(TurnUpdates, TellsCallsWhileTheyAreWritten) {
  const auto machine = [](CallFormat format) { return compile_turn({.tools = many_tools(), .format = format}).value(); };
  const auto hermes = machine(CallFormat::hermes), xml = machine(CallFormat::xml);
  const std::string call =
      "I look.\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Ulm\", \"days\": 3}}\n</tool_call>";
  const std::string other =
      "<tool_call>\n<function=get_weather>\n<parameter=city>\nUlm\n</parameter>\n<parameter=days>\n3\n</parameter>\n"
      "</function>\n</tool_call>";
  for (size_t size = 1; size < 12; ++size) {
    EXPECT_EQ(
        told(TurnUpdates({.machine = hermes.get()}), call + "\n" + call, size),
        "I look.[0 get_weather]{\"city\": \"Ulm\", \"days\": 3}\n\nI look.[1 get_weather]{\"city\": \"Ulm\", \"days\": 3} /2");
    EXPECT_EQ(told(TurnUpdates({.machine = hermes.get()}), call.substr(0, call.size() - 20), size).substr(0, 20),
              "I look.[0 get_weathe");
    EXPECT_EQ(told(TurnUpdates({.raw = true, .machine = xml.get()}), other, other.size()),
              other + "[0 get_weather]{\"city\": \"Ulm\", \"days\": 3} /1");
    EXPECT_EQ(told(TurnUpdates({.machine = xml.get()}), other, size), "[0 get_weather]{\"city\": \"Ulm\", \"days\": 3} /1");
  }
}

TEST(TurnUpdates, GivesEachCallAnIdOfItsOwn) {
  std::set<std::string> ids;
  for (int i = 0; i < 100; ++i) ids.insert(unique_id("call_"));
  EXPECT_EQ(ids.size(), 100u);
  for (const std::string& id : ids) EXPECT_THAT(id, testing::MatchesRegex("call_[0-9a-z]+"));
  EXPECT_EQ(ids.begin()->size(), 29u);
}

TEST(TurnUpdates, GoesOnBehindWhatTheAnswerBeginsWith) {
  const auto machine = compile_turn({.tools = many_tools()}).value();
  TurnUpdates updates({.machine = machine.get()});
  ASSERT_TRUE(updates.skip("I know"));
  EXPECT_EQ(told(std::move(updates), " it.", 2), " it. /0");
}

TEST(TurnUpdates, SaysWhenATurnIsNotWhatItHadToBe) {
  const auto machine = compile_turn({.tools = many_tools()}).value();
  TurnUpdates updates({.machine = machine.get()});
  std::vector<TurnUpdate> made;
  EXPECT_FALSE(updates.token({.id = 1, .text = "<tool_call>\n{\"nom", .logprob = {}, .top = {}}, made));
}

}  // namespace
}  // namespace quern
