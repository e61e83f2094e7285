#include "eval/needle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "eval/needle_grid.h"
#include "text/model_text.h"

namespace quern {
namespace {

using testing::HasSubstr;
using testing::Not;

const Tokenizer& tokenizer() {
  static const ModelText model = load_model_text(std::filesystem::path(QUERN_REPO) / "models/pebble").value();
  return *model.tokenizer;
}

NeedleTask task_of(NeedleKind kind, int64_t length, double depth, uint64_t seed = 7) {
  const auto task = make_needle({.kind = kind, .length = length, .depth = depth, .seed = seed}, tokenizer());
  EXPECT_TRUE(task) << task.error().message;
  return task.value();
}

std::string text_of(const NeedleTask& task) { return prompt_text(*render(task.conversation, ChatFormat::instruct)); }

size_t times_in(const std::string& text, const std::string& part) {
  size_t times = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++times;
  return times;
}

int64_t tokens_in(std::string_view text) { return static_cast<int64_t>(tokenizer().encode(text, /*trusted=*/true)->size()); }

constexpr NeedleKind kKinds[] = {NeedleKind::prose, NeedleKind::tools};

TEST(Needle, APromptHasTheLengthThatWasAskedForAndTheNeedleOnce) {
  for (const NeedleKind kind : kKinds)
    for (const int64_t length : {2048, 5000})
      for (const double depth : {0.0, 0.5, 1.0}) {
        const NeedleTask task = task_of(kind, length, depth);
        EXPECT_LE(task.tokens, length);
        EXPECT_GE(task.tokens, length - length / 20) << needle_kind_name(kind) << " at " << depth;
        EXPECT_EQ(task.tokens, *count_tokens(task.conversation, ChatFormat::instruct, tokenizer()));
        EXPECT_EQ(times_in(text_of(task), task.needle), 1u);
      }
}

// Of what the haystack adds to the bare task, the share that lies before the needle.
double measured_depth(NeedleKind kind, int64_t length, double depth) {
  const auto before = [](const NeedleTask& task) {
    const std::string text = text_of(task);
    return static_cast<double>(tokens_in(text.substr(0, text.find(task.needle))));
  };
  const NeedleTask bare = task_of(kind, 0, depth), task = task_of(kind, length, depth);
  return (before(task) - before(bare)) / static_cast<double>(task.tokens - bare.tokens);
}

TEST(Needle, LiesAtItsDepth) {
  for (const double depth : {0.0, 0.25, 0.5, 0.75, 1.0}) {
    EXPECT_NEAR(measured_depth(NeedleKind::prose, 4096, depth), depth, 0.02);
    EXPECT_NEAR(measured_depth(NeedleKind::tools, 8192, depth), depth, 0.05);  // earlier turns are whole episodes
  }
}

TEST(Needle, IsTheSameForTheSameSeedAndAtEveryLength) {
  for (const NeedleKind kind : kKinds) {
    EXPECT_EQ(text_of(task_of(kind, 2500, 0.5)), text_of(task_of(kind, 2500, 0.5)));
    EXPECT_EQ(task_of(kind, 2500, 0.5).needle, task_of(kind, 4000, 0).needle);
    EXPECT_NE(task_of(kind, 2500, 0.5, 1).value, task_of(kind, 2500, 0.5, 2).value);
  }
}

TEST(Needle, OfToolsIsTheOnlyPlaceThatNamesTheFolderOfTheNextMove) {
  for (uint64_t seed = 0; seed < 8; ++seed) {
    const NeedleTask task = task_of(NeedleKind::tools, 3000, 0.3, seed);
    const Message& last = task.conversation.messages.back();
    EXPECT_EQ(last.role, Role::tool);
    const std::string to = task.call.arguments.find("to")->as_string();
    EXPECT_TRUE(to.starts_with(task.value + "/"));
    EXPECT_EQ(times_in(text_of(task), to), 0u);
    for (const Message& message : task.conversation.messages)
      for (const ToolCall& call : message.tool_calls) EXPECT_NE(call.arguments.dump(), task.call.arguments.dump());
  }
}

TEST(Needle, RefusesALengthThatIsTooShortForIt) {
  for (const NeedleKind kind : kKinds) {
    const auto task = make_needle({.kind = kind, .length = 20}, tokenizer());
    ASSERT_FALSE(task);
    EXPECT_EQ(task.error().code, Errc::out_of_range);
    EXPECT_THAT(task.error().message, HasSubstr("a length of 20 tokens"));
  }
}

TEST(Needle, OfProseIsFoundInAnAnswerThatHasTheNumber) {
  NeedleTask task;
  task.value = "4821937";
  const auto found = [&](std::string_view reply, ChatFormat format = ChatFormat::instruct) {
    return has_needle(task, NeedleKind::prose, reply, format);
  };
  EXPECT_TRUE(found("4821937"));
  EXPECT_TRUE(found("The number is 4,821,937."));
  EXPECT_TRUE(found("4 821 937"));
  EXPECT_FALSE(found("4821936"));
  EXPECT_FALSE(found("48, 21 and 937"));
  EXPECT_FALSE(found(""));
  EXPECT_FALSE(found("It may be 4821937 or not.</think>\n\nI do not know.", ChatFormat::thinking));
  EXPECT_TRUE(found("Let me see.</think>\n\n4821937", ChatFormat::thinking));
}

TEST(Needle, OfToolsIsFoundByTheVeryCall) {
  const NeedleTask task = task_of(NeedleKind::tools, 0, 0);
  const auto found = [&](const ToolCall& call) {
    Json object = Json::object();
    object["name"] = call.name;
    object["arguments"] = call.arguments;
    return has_needle(task, NeedleKind::tools, "<tool_call>\n" + object.dump() + "\n</tool_call>", ChatFormat::instruct);
  };
  ToolCall call = task.call;
  EXPECT_TRUE(found(call));
  call.arguments["to"] = "elsewhere/" + call.arguments["from"].as_string();
  EXPECT_FALSE(found(call));
  call = task.call;
  call.name = "copy_file";
  EXPECT_FALSE(found(call));
  EXPECT_FALSE(has_needle(task, NeedleKind::tools, "Done. " + task.value, ChatFormat::instruct));
}

NeedleGrid some_grid() {
  NeedleGrid grid(NeedleKind::prose, {1024, 262144}, {0, 0.125, 1});
  for (size_t i = 0; i < grid.cells.size(); ++i) grid.cells[i] = {.trials = 5, .found = static_cast<int64_t>(i), .tokens = 5000};
  return grid;
}

TEST(NeedleGrid, TextHasARowADepthAndAColumnALength) {
  EXPECT_EQ(needle_text(some_grid()),
            "depth \\ tokens       1,024     262,144\n"
            "           0 %   ···   0 %   ░░░  20 %\n"
            "        12.5 %   ▒▒▒  40 %   ▒▒▒  60 %\n"
            "         100 %   ▓▓▓  80 %   ███ 100 %\n"
            "    all depths   ▒▒▒  40 %   ▒▒▒  60 %\n");
}

TEST(NeedleGrid, JsonHasEveryCell) {
  const Json json = needle_json(some_grid());
  ASSERT_EQ(json.find("cells")->as_array().size(), 6u);
  EXPECT_EQ(json.find("cells")->as_array()[3].dump(),
            R"({"length": 262144, "depth": 0.125, "trials": 5, "found": 3, "tokens": 1000})");
  EXPECT_EQ(json.find("found")->dump(), "15");
  EXPECT_EQ(json.find("trials")->dump(), "30");
}

TEST(NeedleGrid, HeatMapHasACellEachAndNothingFromElsewhere) {
  const std::string svg = needle_svg("a<b> & \"c\"", some_grid());
  EXPECT_EQ(times_in(svg, "<rect"), 6u);
  EXPECT_THAT(svg, HasSubstr("a&lt;b&gt; &amp;"));
  EXPECT_THAT(svg, HasSubstr(">262,144</text>"));
  for (const char* outside : {"src=", "href=", "url(", "@import", "<script", "nan"}) EXPECT_THAT(svg, Not(HasSubstr(outside)));
  EXPECT_EQ(svg, needle_svg("a<b> & \"c\"", some_grid()));
}

TEST(NeedleGrid, LengthsDoubleUpToTheLongest) {
  EXPECT_EQ(needle_lengths(NeedleKind::prose, 5000), (std::vector<int64_t>{1024, 2048, 4096, 5000}));
  EXPECT_EQ(needle_lengths(NeedleKind::tools, 8192), (std::vector<int64_t>{2048, 4096, 8192}));
  EXPECT_EQ(needle_lengths(NeedleKind::tools, 1500), (std::vector<int64_t>{1500}));
}

}  // namespace
}  // namespace quern
