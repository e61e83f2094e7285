#include "constrain/turn_reader.h"

#include "constrain/turn_test.h"

namespace quern {
namespace {

using Kind = TurnPiece::Kind;

TurnOptions options(CallFormat format = CallFormat::hermes, bool thinking = false) {
  return {.tools = many_tools(), .format = format, .thinking = thinking};
}

std::vector<TurnPiece> events(TurnMachine& machine, std::string_view text, size_t piece) {
  TurnReader reader(machine);
  std::vector<TurnPiece> out;
  for (size_t i = 0; i < text.size(); i += piece) EXPECT_TRUE(reader.read(text.substr(i, piece), out)) << text;
  reader.finish(out);
  return out;
}

std::string all(const std::vector<TurnPiece>& events, Kind kind) {
  std::string out;
  for (const TurnPiece& e : events)
    if (e.kind == kind) out += e.text;
  return out;
}

constexpr std::string_view kCall = "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Zürich\"}}\n</tool_call>";
constexpr std::string_view kXmlCall =
    "<tool_call>\n<function=write>\n<parameter=content>\na \"b\"\n<p>\n\n</parameter>\n<parameter=path>\na.txt\n</parameter>\n"
    "<parameter=mode>\nnull\n</parameter>\n</function>\n</tool_call>";

TEST(TurnReader, TellsReasoningTextAndCallsApart) {
  const auto machine = compiled(options(CallFormat::hermes, true));
  const std::string text = "\nHm, <tool_call>?\n</think>\n\nOne moment.\n" + std::string(kCall);
  const std::vector<TurnPiece> want{{Kind::reasoning, "Hm, <tool_call>?"},
                                    {Kind::content, "One moment."},
                                    {Kind::call_begin, "get_weather"},
                                    {Kind::arguments, R"({"city": "Zürich"})"},
                                    {Kind::call_end, ""}};
  EXPECT_EQ(events(*machine, text, text.size()), want);
}

TEST(TurnReader, SaysNothingOfMarkupBeforeItIsCertain) {
  const auto machine = compiled(options());
  TurnReader reader(*machine);
  std::vector<TurnPiece> out;
  ASSERT_TRUE(reader.read("a <tool_", out));
  EXPECT_EQ(all(out, Kind::content), "a");
  ASSERT_TRUE(reader.read("box>", out));
  EXPECT_EQ(all(out, Kind::content), "a <tool_box>");
  ASSERT_TRUE(reader.read(" \xC3", out));
  EXPECT_EQ(all(out, Kind::content), "a <tool_box>");
  ASSERT_TRUE(reader.read("\xA9<to", out));
  reader.finish(out);
  EXPECT_EQ(all(out, Kind::content), "a <tool_box> é<to");
}

TEST(TurnReader, GivesArgumentsOfTheXmlFormatAsJson) {
  const auto machine = compiled(options(CallFormat::xml));
  for (size_t piece = 1; piece < 20; ++piece)
    EXPECT_EQ(all(events(*machine, kXmlCall, piece), Kind::arguments),
              R"({"content": "a \"b\"\n<p>\n", "path": "a.txt", "mode": null})");
}

TEST(TurnReader, GivesEveryKindOfXmlValue) {
  const auto machine = compiled(options(CallFormat::xml));
  const auto read = [&](std::string_view v, std::string_view w) {
    return all(
        events(*machine,
               fmt::format("<tool_call>\n<function=mixed>\n<parameter=v>\n{}\n</parameter>\n<parameter=w>\n{}\n</parameter>\n"
                           "</function>\n</tool_call>",
                           v, w),
               1),
        Kind::arguments);
  };
  EXPECT_EQ(read("1.5", "[1, \"x\"]"), R"({"v": 1.5, "w": [1, "x"]})");
  EXPECT_EQ(read("1.5.0", ""), R"({"v": "1.5.0", "w": ""})");
  EXPECT_EQ(read("true", "{\"a\": {}}"), R"({"v": true, "w": {"a": {}}})");
  EXPECT_EQ(read("truely", "null"), R"({"v": "truely", "w": "null"})");
  EXPECT_EQ(read("null", "\n"), R"({"v": null, "w": "\n"})");
  EXPECT_EQ(read("-", "12\n</para"), R"({"v": "-", "w": "12\n</para"})");
}

TEST(TurnReader, GivesOutArgumentsWhileTheyAreWritten) {
  for (const bool xml : {false, true}) {
    const auto machine = compiled(options(xml ? CallFormat::xml : CallFormat::hermes));
    TurnReader reader(*machine);
    std::vector<TurnPiece> out;
    ASSERT_TRUE(reader.read(xml ? "<tool_call>\n<function=write>\n<parameter=content>\nSome text"
                                : "<tool_call>\n{\"name\": \"write\", \"arguments\": {\"content\": \"Some text",
                            out));
    EXPECT_EQ(all(out, Kind::arguments), "{\"content\": \"Some text");
    EXPECT_TRUE(reader.inside_call());
  }
}

TEST(TurnReader, ReportsNoCallThatIsCutOff) {
  for (const bool xml : {false, true}) {
    const auto machine = compiled(options(xml ? CallFormat::xml : CallFormat::hermes));
    const std::string_view call = xml ? kXmlCall : kCall;
    for (size_t length = 1; length < call.size(); ++length) {
      TurnReader reader(*machine);
      std::vector<TurnPiece> out;
      ASSERT_TRUE(reader.read(call.substr(0, length), out));
      EXPECT_EQ(reader.inside_call(), length >= 11);
      reader.finish(out);
      EXPECT_TRUE(reader.calls().empty());
      EXPECT_TRUE(out.empty() || out.back().kind != Kind::call_end);
    }
  }
}

TEST(TurnReader, NumbersTheCallsAndKeepsTheCompleteOnes) {
  const auto machine = compiled(options());
  const std::string text = std::string(kCall) + "\n<tool_call>\n{\"name\": \"nothing\", \"arguments\": {}}\n</tool_call>\nDone.\n";
  TurnReader reader(*machine);
  std::vector<TurnPiece> out;
  ASSERT_TRUE(reader.read(text, out));
  reader.finish(out);
  ASSERT_EQ(reader.calls().size(), 2u);
  EXPECT_EQ(reader.calls()[1].name, "nothing");
  EXPECT_EQ(reader.calls()[1].arguments, "{}");
  EXPECT_EQ(out.at(4).call, 1u);
  EXPECT_EQ(all(out, Kind::content), "Done.");
  EXPECT_EQ(all(events(*machine, " Hi. \n", 1), Kind::content), " Hi. \n");
}

TEST(TurnReader, RefusesBytesThatAreNoTurn) {
  const auto machine = compiled(options());
  TurnReader reader(*machine);
  std::vector<TurnPiece> out;
  const auto result = reader.read("a\n<tool_call>{", out);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::malformed);
  EXPECT_EQ(result.error().message, "turn: byte 13 goes on in a way that its constraint excludes");
  EXPECT_EQ(all(out, Kind::content), "a");
}

TEST(TurnReader, ReadsRandomTurnsTheSameHoweverTheyAreSplit) {
  Random random(5);
  for (const CallFormat format : {CallFormat::hermes, CallFormat::xml})
    for (const bool thinking : {false, true}) {
      const auto machine = compiled(options(format, thinking));
      for (int i = 0; i < 60; ++i) {
        const std::string text = RandomTurn(*machine, random).write();
        const auto whole = events(*machine, text, text.size() + 1);
        TurnReader reader(*machine);
        std::vector<TurnPiece> pieces;
        for (size_t at = 0; at < text.size();) {
          const size_t n = 1 + random.below(9);
          ASSERT_TRUE(reader.read(std::string_view(text).substr(at, n), pieces));
          at += n;
        }
        reader.finish(pieces);
        for (const Kind kind : {Kind::reasoning, Kind::content}) EXPECT_EQ(all(pieces, kind), all(whole, kind)) << text;
        std::vector<std::string> arguments;
        size_t ends = 0;
        for (const TurnPiece& e : pieces) {
          if (e.kind == Kind::call_begin) {
            EXPECT_EQ(e.call, arguments.size());
            arguments.emplace_back();
          }
          if (e.kind == Kind::arguments) arguments.at(e.call) += e.text;
          ends += e.kind == Kind::call_end;
        }
        ASSERT_EQ(arguments.size(), ends);
        ASSERT_EQ(arguments.size(), reader.calls().size());
        for (size_t c = 0; c < arguments.size(); ++c) {
          EXPECT_EQ(arguments[c], reader.calls()[c].arguments);
          const auto json = Json::parse(arguments[c], "arguments");
          ASSERT_TRUE(json) << arguments[c];
          EXPECT_EQ(json->dump(), arguments[c]) << text;
        }
      }
    }
}

}  // namespace
}  // namespace quern
