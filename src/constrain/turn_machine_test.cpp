#include "constrain/turn_machine.h"

#include <algorithm>
#include <map>

#include "constrain/matcher.h"
#include "constrain/turn_reader.h"
#include "constrain/turn_test.h"
#include "text/assistant_parser.h"

namespace quern {
namespace {

using Kind = ToolChoice::Kind;

TurnOptions options(CallFormat format = CallFormat::hermes) { return {.tools = many_tools(), .format = format}; }

std::string hermes(std::string_view name, std::string_view arguments) {
  return fmt::format("<tool_call>\n{{\"name\": \"{}\", \"arguments\": {}}}\n</tool_call>", name, arguments);
}
std::string xml(std::string_view name, std::initializer_list<std::pair<std::string_view, std::string_view>> parameters) {
  std::string out = fmt::format("<tool_call>\n<function={}>\n", name);
  for (const auto& [key, value] : parameters) out += fmt::format("<parameter={}>\n{}\n</parameter>\n", key, value);
  return out + "</function>\n</tool_call>";
}

const std::string kCall = hermes("get_weather", R"({"days": 3, "city": "Rome"})");

std::string compile_error(const TurnOptions& options) {
  const auto machine = compile_turn(options);
  return machine ? std::string() : machine.error().message;
}

// ---- free text

TEST(TurnMachine, AcceptsTextWithAndWithoutCalls) {
  const auto machine = compiled(options());
  for (const std::string& text :
       {std::string(), std::string("Hello é\n\n* x"), kCall, "Let me see.\n" + kCall, kCall + "\n" + kCall, kCall + "\nDone.",
        "<tool_cal" + kCall, std::string("{\"name\": \"Anna\"}\n<b>"), std::string("</think> </tool_cal")})
    EXPECT_TRUE(accepts(*machine, text)) << text;
}

TEST(TurnMachine, NeverEndsInsideACall) {
  const auto machine = compiled(options());
  for (size_t n = 0; n <= kCall.size(); ++n) EXPECT_EQ(accepts(*machine, kCall.substr(0, n)), n < 11 || n == kCall.size()) << n;
}

TEST(TurnMachine, HasNoLineThatBeginsLikeACallWithoutItsOpener) {
  const auto machine = compiled(options());
  for (const std::string_view text : {"{\"name\": \"write\"", "Sure.\n {\"name\":\t\"write\"", "a\n\t{ \"name\" : \"nothing\"",
                                      "<function=", "x\n\n  <function=", "</tool_call>", "a </tool_call>", "```js```\n<function=",
                                      "```\n```\n<function=", "~~~\n~~~\n{\"name\": \"write\"", "````\n```\n`````\n<function="}) {
    EXPECT_FALSE(walk(*machine, text)) << text;
    EXPECT_TRUE(walk(*machine, text.substr(0, text.size() - 1))) << text;
  }
  for (const std::string_view text : {"a {\"name\": \"write\"", "{\"name\": \"writer\"", "{\"nam\": \"write\"", "see <function=x>",
                                      "{\n\"name\": \"write\"", "<function>", "{\"name\": write"})
    EXPECT_TRUE(accepts(*machine, text)) << text;
}

TEST(TurnMachine, LetsCodeFencesShowWhatCallsLookLike) {
  const auto machine = compiled(options());
  for (const std::string_view text :
       {"```json\n{\"name\": \"write\", \"arguments\": {}}\n```\nSo.", "~~~\n<function=write>", "````\n```\n<function=a>\n````",
        "1. a\n   ```\n   <function=a>\n   ```\n", "~~~ `x`\n<function=a>\n~~~~ \n", "```\n~~~\n<function=a>"})
    EXPECT_TRUE(accepts(*machine, text)) << text;
  // The opener's token opens a call there too.
  EXPECT_FALSE(walk(*machine, "```\n<tool_call>\n</"));
  EXPECT_TRUE(accepts(*machine, "```\n" + kCall + "\n```"));
}

TEST(TurnMachine, NestsArgumentsAsDeepAsACallIsRead) {
  const auto nested = [](size_t levels) { return std::string(levels, '[') + std::string(levels, ']'); };
  for (const CallFormat format : {CallFormat::hermes, CallFormat::xml}) {
    TurnOptions o = options(format);
    o.tools = {tool("any", R"({"type": "object"})")};
    const auto machine = compiled(o);
    for (const size_t levels : {Json::kMaxDepth - 2, Json::kMaxDepth - 1}) {  // inside the call and its arguments
      const std::string call =
          format == CallFormat::xml ? xml("any", {{"a", nested(levels)}}) : hermes("any", R"({"a": )" + nested(levels) + "}");
      EXPECT_EQ(accepts(*machine, call), levels == Json::kMaxDepth - 2) << levels;
      if (format == CallFormat::hermes) {
        EXPECT_EQ(!parse_assistant(call, ChatFormat::instruct, o.tools).calls.at(0).error, levels == Json::kMaxDepth - 2);
      }
    }
  }
}

TEST(TurnMachine, WritesWholeCharactersOnly) {
  const auto machine = compiled(options());
  EXPECT_FALSE(walk(*machine, "\xFF"));
  EXPECT_FALSE(walk(*machine, "\xC0\xAF"));
  EXPECT_TRUE(walk(*machine, "\xE2\x82"));
  EXPECT_FALSE(accepts(*machine, "\xE2\x82"));
  EXPECT_TRUE(accepts(*machine, "\xE2\x82\xAC"));
}

TEST(TurnMachine, DoesNotGrowWithTheLengthOfTheText) {
  const auto machine = compiled(options());
  const std::string line = "Some words, `code`, a list:\n* x\n```sh\nls\n```\n";
  walk(*machine, line + line);
  const size_t bytes = machine->bytes();
  std::string text;
  for (int i = 0; i < 200; ++i) text += line;
  const auto state = walk(*machine, text);
  ASSERT_TRUE(state);
  EXPECT_EQ(machine->bytes(), bytes);
  EXPECT_EQ(machine->key(*state), machine->key(machine->start()));
}

// ---- reasoning

TEST(TurnMachine, ReasonsFirstWhereTheTemplateOpensIt) {
  TurnOptions thinking = options();
  thinking.thinking = true;
  const auto machine = compiled(thinking);
  EXPECT_TRUE(accepts(*machine, "Hm.\n</think>\n\nHello."));
  EXPECT_TRUE(accepts(*machine, "</think>"));
  EXPECT_TRUE(accepts(*machine, "<tool_call> or <function=f>\n</tool_call>\n{\"name\": \"write\"\n</think>\n\n" + kCall));
  EXPECT_FALSE(accepts(*machine, "Hm."));
  EXPECT_FALSE(accepts(*machine, kCall));
  EXPECT_FALSE(walk(*machine, "</think><function="));
}

// ---- calls in JSON

TEST(TurnMachine, AcceptsOnlyCallsThatFitTheirTool) {
  const auto machine = compiled(options());
  for (const std::string& call : {hermes("get_weather", R"({"city": "a </tool_call> } b"})"), hermes("nothing", "{}"),
                                  hermes("nothing", R"({"a": [1, {}]})"), hermes("get_weather_map", R"({"zoom": null, "x": true})"),
                                  hermes("either", R"({"id": "12", "name": "ab"})"), hermes("either", R"({"id": 12})")})
    EXPECT_TRUE(accepts(*machine, call)) << call;
  for (const std::string& call :
       {hermes("get_weathe", "{}"), hermes("get_weather", "{}"), hermes("get_weather", R"({"city": 1})"),
        hermes("get_weather", R"({"city": "a", "x": 1})"), hermes("get_weather", R"({"city": "a", "city": "b"})"),
        hermes("get_weather", R"({"city":"a"})"), hermes("get_weather", R"({"city": "a","days": 1})"),
        hermes("get_weather", R"({"city": "a", "days": 15})"), hermes("nothing", "[]"), hermes("nothing", "null"),
        hermes("get_weather_map", "3"), hermes("either", R"({"id": 12, "name": "ab"})"), hermes("nothing", "{}}"),
        hermes("nothing", "{} "), hermes("nothing", R"({"": 1, "": 2})")})
    EXPECT_FALSE(walk(*machine, call)) << call;
}

TEST(TurnMachine, WritesNamesAsJsonDoes) {
  TurnOptions one{.tools = {tool("a \"b\"\\\n", "{}")}};
  const auto machine = compiled(one);
  EXPECT_TRUE(accepts(*machine, "<tool_call>\n{\"name\": \"a \\\"b\\\"\\\\\\n\", \"arguments\": {}}\n</tool_call>"));
  EXPECT_FALSE(walk(*machine, "{\"name\": \"a \\\"b\\\"\\\\\\n\""));
}

TEST(TurnMachine, KeepsReferencesInsideParameters) {
  const auto machine = compiled(options());
  EXPECT_TRUE(accepts(*machine, hermes("tree", R"({"root": {"name": "a", "children": [{"name": "b"}]}, "when": "2024-02-29"})")));
  EXPECT_FALSE(walk(*machine, hermes("tree", R"({"root": {"name": "a", "children": [{"nam)")));
  EXPECT_FALSE(walk(*machine, hermes("tree", R"({"when": "2023-02-29")")));
}

// ---- calls in XML

TEST(TurnMachine, AcceptsOnlyXmlCallsThatFitTheirTool) {
  const auto machine = compiled(options(CallFormat::xml));
  for (const std::string& call :
       {xml("get_weather", {{"days", "3"}, {"city", "Rome"}}), xml("get_weather", {{"city", ""}}),
        xml("get_weather", {{"city", "12"}, {"unit", "celsius"}}),
        xml("write", {{"content", "<div a=\"b\">\n</div> </parameter> &amp;\n\n"}, {"path", "a.txt"}, {"mode", "null"}}),
        xml("nothing", {}), xml("nothing", {{"a b", "text"}, {"c", "[1, {\"x\": null}]"}}),
        xml("mixed", {{"v", "1.5"}, {"w", "1"}}), xml("mixed", {{"v", "v1.5"}, {"w", "[]"}, {"u", "[1, \"a\"]"}}),
        xml("mixed", {{"v", ""}, {"w", "x{"}}), xml("either", {{"id", "12"}}), xml("either", {{"name", "ab"}, {"id", "12"}})})
    EXPECT_TRUE(accepts(*machine, call)) << call;
  // While `id` may be a number too, 12 is one.
  EXPECT_FALSE(walk(*machine, xml("either", {{"id", "12"}, {"name", "ab"}})));
  for (const std::string& call :
       {xml("get_weather", {}), xml("get_weather", {{"days", "3"}}), xml("get_weather", {{"city", "a"}, {"days", "\"3\""}}),
        xml("get_weather", {{"city", "a"}, {"city", "b"}}), xml("get_weather", {{"city", "a"}, {"x", "b"}}),
        xml("get_weather", {{"city", "a"}, {"unit", "kelvin"}}), xml("write", {{"content", "</parameter>"}, {"path", "a.txt"}}),
        xml("write", {{"content", "a\n</parameter>b"}, {"path", "a.txt"}}), xml("write", {{"content", "a"}, {"path", "A.txt"}}),
        xml("write", {{"path", "a.txt"}, {"content", "a"}, {"mode", "NULL"}}), xml("mixed", {{"v", " 1"}, {"w", "a"}}),
        xml("mixed", {{"v", "TRUE"}, {"w", "a"}}), xml("mixed", {{"v", "1_0"}, {"w", "a"}}),
        xml("mixed", {{"v", "a"}, {"w", " [a"}}), xml("mixed", {{"v", "a"}, {"w", "a"}, {"u", "[1, 1]"}}),
        xml("get_weather_map", {{"a", "yes"}}), xml("nothing", {{"a", "text"}, {"a", "text"}}), xml("nothing", {{"", "text"}}),
        xml("nothing", {{"a<", "text"}})})
    EXPECT_FALSE(walk(*machine, call)) << call;
}

TEST(TurnMachine, RefusesParametersThatXmlCannotSpell) {
  const auto refused = [](std::string_view parameters) {
    return compile_error({.tools = {tool("f", parameters)}, .format = CallFormat::xml});
  };
  EXPECT_NE(refused(R"({"properties": {"a": {"const": "</parameter>"}}, "required": ["a"]})"), "");
  EXPECT_NE(refused(R"({"required": ["a>b"]})"), "");
  EXPECT_EQ(refused(R"({"properties": {"a": {"const": "</parameter>"}}})"), "");
}

// ---- choices

TEST(TurnMachine, WithoutACallToMakeTheOpenerIsImpossible) {
  TurnOptions none = options();
  none.choice.kind = Kind::none;
  for (const TurnOptions& o : {none, TurnOptions{}}) {
    const auto machine = compiled(o);
    EXPECT_TRUE(accepts(*machine, "Hi <tool_call"));
    EXPECT_FALSE(walk(*machine, "Hi <tool_call>"));
  }
}

TEST(TurnMachine, ARequiredCallComesAtOnce) {
  TurnOptions required = options();
  required.choice.kind = Kind::required;
  const auto machine = compiled(required);
  EXPECT_TRUE(accepts(*machine, kCall));
  EXPECT_TRUE(accepts(*machine, kCall + "\n" + hermes("nothing", "{}")));
  for (const std::string& text : {std::string("I"), std::string("\n"), kCall + " ", kCall + "\n\n", kCall + "\nx"})
    EXPECT_FALSE(walk(*machine, text)) << text;
  EXPECT_FALSE(accepts(*machine, ""));
  EXPECT_FALSE(accepts(*machine, kCall + "\n"));
  required.thinking = true;
  const auto thinking = compiled(required);
  EXPECT_TRUE(accepts(*thinking, "Hm.\n</think>\n\n" + kCall));
  EXPECT_FALSE(walk(*thinking, "Hm.\n</think>\n\nI"));
  EXPECT_FALSE(accepts(*thinking, "Hm.\n</think>\n\n"));
}

TEST(TurnMachine, ANamedCallIsOfThatTool) {
  TurnOptions named = options();
  named.choice = {.kind = Kind::named, .name = "nothing"};
  const auto machine = compiled(named);
  EXPECT_TRUE(accepts(*machine, hermes("nothing", "{}")));
  EXPECT_FALSE(walk(*machine, kCall));
  EXPECT_FALSE(walk(*machine, hermes("nothing", "{}") + "\n" + kCall));
}

TEST(TurnMachine, MakesOneCallWhereSeveralAreNotWanted) {
  TurnOptions single = options();
  single.parallel_calls = false;
  const auto machine = compiled(single);
  EXPECT_TRUE(accepts(*machine, "a " + kCall + "\nDone."));
  EXPECT_FALSE(walk(*machine, kCall + "\n" + kCall));
  single.choice.kind = Kind::required;
  const auto required = compiled(single);
  EXPECT_TRUE(accepts(*required, kCall));
  EXPECT_FALSE(walk(*required, kCall + "\n"));
}

TEST(TurnMachine, SaysWhatIsWrongWithTheOptions) {
  EXPECT_EQ(compile_error({.choice = {.kind = Kind::required}}), "a tool call is required, but no tool is offered");
  EXPECT_EQ(compile_error({.tools = many_tools(), .choice = {.kind = Kind::named, .name = "f"}}),
            "tool 'f': it is chosen, but not offered");
  EXPECT_EQ(compile_error({.tools = {tool("f", "{}"), tool("f", "")}}), "tool 'f': offered twice");
  EXPECT_EQ(compile_error({.tools = {tool("f", "{}"), tool("", "")}}), "tools[1]: expected a name");
  EXPECT_EQ(compile_error({.tools = {Json(3)}}), "tools[0]: expected a name");
  EXPECT_EQ(compile_error({.tools = {tool("a b", "")}, .format = CallFormat::xml}),
            "tool 'a b': the XML format has no white space, '<' or '>' in names");
  EXPECT_EQ(compile_error({.tools = {tool("f", R"({"properties": {"a": {"pattern": "(a)\\1"}}})")}}).substr(0, 10), "tool 'f': ");
  EXPECT_NE(compile_error({.tools = {tool("f", R"({"type": "string"})")}}), "");
}

// ---- chance

// The tool's own schema, compiled for itself.
bool valid(const Json& tool, const Json& arguments) {
  const Json* parameters = tool.find("function")->find("parameters");
  Refusal refusal;
  const auto machine = SchemaMachine::compile(parameters ? *parameters : Json(true), {}, refusal);
  return machine && accepts(*machine, arguments.dump());
}

bool has_fence(std::string_view text) { return text.find("```") != text.npos || text.find("~~~") != text.npos; }

class LongRandomTurns : public testing::TestWithParam<CallFormat> {};

TEST_P(LongRandomTurns, EndInCallsThatTheirToolsAccept) {
  constexpr uint64_t kTurns = QUERN_LONG_TESTS ? 1000 : 200;
  uint64_t calls = 0;
  for (uint64_t seed = 0; seed < kTurns; ++seed) {
    Random random(seed);
    TurnOptions o = options(GetParam());
    std::vector<Json> offered;
    for (const Json& t : o.tools)
      if (random.chance(0.4)) offered.push_back(t);
    o.tools = offered;
    o.thinking = random.chance(0.3);
    o.parallel_calls = random.chance(0.7);
    o.choice.kind =
        offered.empty() ? Kind::automatic : random.pick(std::vector{Kind::automatic, Kind::none, Kind::required, Kind::named});
    if (o.choice.kind == Kind::named) o.choice.name = random.pick(offered).find("function")->find("name")->as_string();
    const auto machine = compiled(o);
    const std::string text = RandomTurn(*machine, random).write();
    ASSERT_TRUE(accepts(*machine, text)) << seed << ": " << text;
    TurnReader reader(*machine);
    std::vector<TurnPiece> events;
    ASSERT_TRUE(reader.read(text, events));
    reader.finish(events);
    EXPECT_FALSE(reader.inside_call());
    for (const TurnReader::Call& call : reader.calls()) {
      const auto arguments = Json::parse(call.arguments, "arguments");
      ASSERT_TRUE(arguments) << seed << ": " << text;
      ASSERT_TRUE(find_tool(o.tools, call.name));
      EXPECT_TRUE(valid(*find_tool(o.tools, call.name), *arguments)) << seed << ": " << text;
      ++calls;
    }
    const bool must = o.choice.kind == Kind::required || o.choice.kind == Kind::named;
    EXPECT_GE(reader.calls().size(), must ? 1u : 0u);
    EXPECT_LE(reader.calls().size(), o.choice.kind == Kind::none ? 0 : o.parallel_calls ? text.size() : 1);
    if (GetParam() == CallFormat::xml || (!o.thinking && text.find("</think>") != text.npos)) continue;
    const AssistantTurn turn = parse_assistant(text, o.thinking ? ChatFormat::thinking : ChatFormat::instruct, o.tools);
    ASSERT_EQ(turn.calls.size(), reader.calls().size()) << seed << ": " << text;
    for (size_t i = 0; i < turn.calls.size(); ++i) {
      EXPECT_FALSE(turn.calls[i].error) << *turn.calls[i].error;
      EXPECT_EQ(turn.calls[i].call.name, reader.calls()[i].name);
      EXPECT_EQ(turn.calls[i].call.arguments.dump(), reader.calls()[i].arguments);
    }
    EXPECT_FALSE(turn.missing_opener && !has_fence(text)) << seed << ": " << text;
    std::string reasoning, content;
    for (const TurnPiece& e : events) {
      if (e.kind == TurnPiece::Kind::reasoning) reasoning += e.text;
      if (e.kind == TurnPiece::Kind::content) content += e.text;
    }
    EXPECT_EQ(reasoning, turn.reasoning) << text;
    if (!turn.calls.empty()) content.erase(0, std::min(content.find_first_not_of(" \t\r\n"), content.size()));
    EXPECT_EQ(content, turn.content) << text;
  }
  EXPECT_GT(calls, kTurns / 2);
}

INSTANTIATE_TEST_SUITE_P(Formats, LongRandomTurns, testing::Values(CallFormat::hermes, CallFormat::xml),
                         [](const auto& format) { return format.param == CallFormat::xml ? "xml" : "hermes"; });

// What a reader of the XML format does that knows the schema and nothing of this machine: null, booleans, numbers, JSON, else a string.
Json lenient(const std::string& value, std::string_view kinds) {
  const auto json = Json::parse(value, "value");
  if (json && !json->is_string() && kinds.find(json->kind_name()) != kinds.npos) return *json;
  return value;
}

TEST(TurnMachine, XmlValuesMeanTheSameToAReaderThatTriesJsonFirst) {
  const std::map<std::string, std::string, std::less<>> kinds{{"v", "number boolean null"}, {"w", "array object"}, {"u", "array"}};
  TurnOptions o = options(CallFormat::xml);
  o.choice = {.kind = Kind::named, .name = "mixed"};
  o.parallel_calls = false;
  const auto machine = compiled(o);
  Random random(9);
  for (int i = 0; i < 300; ++i) {
    const std::string text = RandomTurn(*machine, random).write();
    Json want = Json::object();
    constexpr std::string_view kOpen = "<parameter=", kClose = "\n</parameter>\n";
    for (size_t at = text.find(kOpen); at != text.npos;) {
      const size_t name = at + kOpen.size(), value = text.find(">\n", name) + 2, end = text.find(kClose, value - 1);
      const std::string key = text.substr(name, value - 2 - name);
      want[key] = lenient(text.substr(value, end - value), kinds.at(key));
      at = end + kClose.size();
      if (text.compare(at, kOpen.size(), kOpen) != 0) break;
    }
    TurnReader reader(*machine);
    std::vector<TurnPiece> events;
    ASSERT_TRUE(reader.read(text, events));
    ASSERT_EQ(reader.calls().size(), 1u);
    EXPECT_EQ(reader.calls()[0].arguments, want.dump()) << text;
  }
}

// ---- tokens

// Every byte, and the kind of tokens that cross the borders of the format's parts.
Vocabulary vocabulary() {
  std::vector<std::string> tokens;
  for (int b = 0; b < 256; ++b) tokens.emplace_back(1, static_cast<char>(b));
  for (const std::string_view token : {"<tool_call>",
                                       "</tool_call>",
                                       "</think>",
                                       "\n{\"",
                                       "name",
                                       "\": \"",
                                       "\", \"",
                                       "arguments",
                                       "\": ",
                                       "{\"",
                                       "city",
                                       "\"}",
                                       "}}\n",
                                       "{}",
                                       "{}}\n</",
                                       "\n\n",
                                       "```",
                                       " the",
                                       "ing",
                                       "function",
                                       "<function",
                                       "=",
                                       ">\n",
                                       "<parameter",
                                       "parameter",
                                       "=content",
                                       "</",
                                       "\n</",
                                       "content>\n",
                                       "\n</parameter>\n",
                                       "\n</parameter>\n</",
                                       "null\n",
                                       "12",
                                       "[\"",
                                       "\"]\n",
                                       "true",
                                       "write",
                                       "get_weather",
                                       "mixed",
                                       "nothing",
                                       "any>\n<",
                                       "=a>\n",
                                       "=b>\nx"})
    tokens.emplace_back(token);
  tokens.emplace_back("<|im_end|>");
  const auto end = static_cast<int32_t>(tokens.size()) - 1;
  return Vocabulary(std::move(tokens), {end});
}

TEST_P(LongRandomTurns, GiveTheSameMasksBehindAnyHistory) {
  const Vocabulary words = vocabulary();
  const auto naive = [&](Machine& machine, std::string_view text) {
    TokenMask mask(words.size());
    const auto state = walk(machine, text);
    for (int32_t id = 0; id < static_cast<int32_t>(words.size()); ++id) {
      std::string longer(text);
      auto at = state;
      for (const char c : words.bytes(id)) {
        if (at) at = machine.step(*at, static_cast<uint8_t>(c), longer);
        longer += c;
      }
      if (words.is_end(id) ? machine.can_end(*state, text) : at && !words.bytes(id).empty()) mask.set(id);
    }
    return mask;
  };
  Random random(3);
  for (const Kind kind : {Kind::automatic, Kind::required}) {
    TurnOptions o = options(GetParam());
    o.thinking = kind == Kind::automatic;
    o.choice.kind = kind;
    Matcher matcher(compiled(o), words);
    const auto machine = compiled(o);
    std::map<TurnMachine::Part, int> checked;
    for (int round = 0; round < 60; ++round) {
      matcher.rollback(random.below(matcher.accepted() + 1));
      while (matcher.accepted() < 150) {
        const auto mask = matcher.mask();
        ASSERT_TRUE(mask);
        if (random.chance(0.3)) {
          ASSERT_EQ(**mask, naive(*machine, matcher.text())) << matcher.text();
          ++checked[machine->place(*walk(*machine, matcher.text())).part];
        }
        std::vector<int32_t> allowed, long_ones;
        for (int32_t id = 0; id < static_cast<int32_t>(words.size()); ++id) {
          if (!(*mask)->test(id) || words.is_end(id)) continue;
          (id < 256 ? allowed : long_ones).push_back(id);
        }
        if (allowed.empty() && long_ones.empty()) break;
        ASSERT_TRUE(matcher.accept(allowed.empty() || (!long_ones.empty() && random.chance(0.7)) ? random.pick(long_ones)
                                                                                                 : random.pick(allowed)));
      }
    }
    EXPECT_GE(checked.size(), GetParam() == CallFormat::xml ? 6u : 4u);
  }
}

// ---- an answer with a schema

TEST(TurnMachine, ATurnIsCallsOrTheAnswer) {
  TurnOptions o = options();
  o.answer = Json::parse(R"({"type": "object", "properties": {"total": {"type": "number"}, "unit": {"type": "string"}},
                             "required": ["total"], "additionalProperties": false})",
                         "schema")
                 .value();
  const auto machine = compiled(o);
  for (const std::string& text :
       {std::string(R"({"total": 3.5})"), std::string(R"({"total": 3, "unit": "<tool>"})"), kCall, kCall + "\n" + kCall})
    EXPECT_TRUE(accepts(*machine, text)) << text;
  for (const std::string& text :
       {std::string(), std::string("{}"), std::string("Hello"), "Let me see.\n" + kCall, kCall + "\nDone.",
        std::string(R"({"total": "3"})"), kCall + "\n{\"total\": 3}", std::string(R"({"total": 3} )")})
    EXPECT_FALSE(accepts(*machine, text)) << text;

  o.thinking = true;
  EXPECT_TRUE(accepts(*compiled(o), "Hm.</think>\n\n{\"total\": 1}"));
  EXPECT_TRUE(accepts(*compiled(o), "Hm.</think>\n\n" + kCall));
  EXPECT_FALSE(walk(*compiled(o), "Hm.</think>\n\nSo"));
  o.thinking = false;
  o.choice.kind = Kind::none;
  EXPECT_FALSE(walk(*compiled(o), "<"));
  EXPECT_TRUE(accepts(*compiled(o), R"({"total": 1})"));
  EXPECT_NE(o.key(), options().key());
  o.answer = Json::parse(R"({"$ref": "https://example.org/x"})", "schema").value();
  EXPECT_EQ(compile_error(o).substr(0, 8), "answer: ");
}

TEST(TurnMachine, AnAnswerMayBeAnyJsonValue) {
  TurnOptions o = options();
  for (const auto& [schema, good, bad] : {std::tuple(R"({"type": "integer", "minimum": 10})", "12", "9"),
                                          {R"({"type": "string", "maxLength": 3})", R"("abc")", R"("abcd")"},
                                          {R"({"type": "array", "items": {"type": "string"}})", R"(["<a>", "b"])", "[1]"},
                                          {R"({"enum": [true, null]})", "null", "false"}}) {
    o.answer = Json::parse(schema, "schema").value();
    EXPECT_TRUE(accepts(*compiled(o), good)) << good;
    EXPECT_FALSE(accepts(*compiled(o), bad)) << bad;
    EXPECT_TRUE(accepts(*compiled(o), kCall));
  }
}

}  // namespace
}  // namespace quern
