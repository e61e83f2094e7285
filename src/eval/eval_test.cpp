#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/file.h"
#include "eval/evaluate.h"
#include "eval/export.h"
#include "eval/families/families.h"
#include "formats/temporary_folder_test.h"
#include "text/assistant_parser.h"
#include "text/chat_template.h"
#include "text/file_tools.h"

namespace quern {
namespace {

constexpr uint64_t kMany = QUERN_LONG_TESTS ? 3000 : 600;  // seeds
constexpr Suite kAll[] = {Suite::mixed,    Suite::single, Suite::chain,    Suite::files,
                          Suite::parallel, Suite::errors, Suite::documents};

// Plays what the expert did.
ReplyFunction expert(const ToolEpisode& episode) {
  auto at = std::make_shared<size_t>(0);
  return [&episode, at](const Conversation&) -> Result<std::string> {
    const auto& messages = episode.conversation.messages;
    while (*at < messages.size() && messages[*at].role != Role::assistant) ++*at;
    if (*at == messages.size()) return std::string("nothing more");
    const Message& turn = messages[(*at)++];
    std::string text = turn.content;
    for (const ToolCall& call : turn.tool_calls) {
      Json object = Json::object();
      object["name"] = call.name;
      object["arguments"] = call.arguments;
      text += (text.empty() ? "" : "\n") + std::string("<tool_call>\n") + object.dump() + "\n</tool_call>";
    }
    return text;
  };
}

TEST(Episodes, AreTheSameForTheSameSeedAndDifferForAnother) {
  for (const Suite suite : kAll)
    for (uint64_t seed = 0; seed < 20; ++seed) {
      const auto text = [&](uint64_t s) {
        return prompt_text(*render(make_episode(suite, Split::training, 10, s).conversation, ChatFormat::instruct));
      };
      EXPECT_EQ(text(seed), text(seed));
      EXPECT_NE(text(seed), text(seed + 1000));
    }
}

TEST(LongEpisodes, EveryExpertCallIsValidUnderItsSchema) {
  for (const Split split : {Split::training, Split::held_out})
    for (uint64_t seed = 0; seed < kMany; ++seed) {
      const Suite suite = seed % 4 == 1 ? Suite::parallel : seed % 4 == 2 ? Suite::errors : Suite::mixed;
      const ToolEpisode episode = make_episode(suite, split, 0, seed);
      for (const Message& message : episode.conversation.messages)
        for (const ToolCall& call : message.tool_calls) {
          const Json* tool = find_tool(episode.conversation.tools, call.name);
          ASSERT_TRUE(tool) << call.name;
          const auto valid = check_arguments(*tool, call.arguments);
          EXPECT_TRUE(valid) << episode.kind << ": " << valid.error().message;
        }
    }
}

TEST(LongEpisodes, TheExpertScoresFullMarks) {
  for (const Suite suite : kAll)
    for (uint64_t seed = 0; seed < kMany / 6; ++seed) {
      const ToolEpisode episode = make_episode(suite, Split::held_out, 25, seed);
      const auto record = play_episode(episode, expert(episode));
      ASSERT_TRUE(record);
      EXPECT_EQ(record->scores.complete, 1) << episode.kind << ": " << record->difference;
      EXPECT_EQ(record->scores.done, 1) << episode.kind;
      EXPECT_EQ(record->scores.malformed, 0);
      EXPECT_EQ(record->scores.exact, episode.calls);
    }
}

TEST(Episodes, AChainHasTheLengthThatWasAskedFor) {
  for (const int64_t length : {2, 7, 25, 30})
    for (uint64_t seed = 0; seed < 100; ++seed) EXPECT_EQ(make_episode(Suite::chain, Split::held_out, length, seed).calls, length);
}

std::set<std::string> names_of_tools_and_parameters(Split split, uint64_t seeds) {
  std::set<std::string> own;
  for (const Json& tool : file_tools::definitions()) own.insert(tool.find("function")->find("name")->as_string());
  std::set<std::string> names;
  for (uint64_t seed = 0; seed < seeds; ++seed)
    for (const Json& tool : make_episode(Suite::single, split, 0, seed).conversation.tools) {
      const Json& function = *tool.find("function");
      names.insert(function.find("name")->as_string());
      for (const auto& [name, schema] : function.find("parameters")->find("properties")->as_object()) names.insert(name);
    }
  return names;
}

TEST(LongEpisodes, HeldOutToolsAndParametersNeverOccurInTraining) {
  const std::set<std::string> training = names_of_tools_and_parameters(Split::training, kMany),
                              held_out = names_of_tools_and_parameters(Split::held_out, kMany);
  std::vector<std::string> both;
  std::set_intersection(training.begin(), training.end(), held_out.begin(), held_out.end(), std::back_inserter(both));
  EXPECT_TRUE(both.empty()) << both.size() << " in both, such as " << both.front();
  EXPECT_GT(held_out.size(), 200u);
}

TEST(Evaluation, CountsMalformedWrongAndMissingCalls) {
  uint64_t seed = 0;
  ToolEpisode episode = make_episode(Suite::single, Split::held_out, 0, seed);
  while (episode.final_state == episode.world->state()) episode = make_episode(Suite::single, Split::held_out, 0, ++seed);
  const auto scores = [&](std::string text) {
    bool first = true;
    return play_episode(
               episode,
               [&, text](const Conversation&) -> Result<std::string> { return std::exchange(first, false) ? text : "Done."; })
        ->scores;
  };
  EXPECT_EQ(scores("<tool_call>\n{\"name\": \"nothing\", \"arguments\": {}}\n</tool_call>").malformed, 1);
  EXPECT_EQ(scores("<tool_call>\n{not json\n</tool_call>").malformed, 1);
  const ToolScores none = scores("Done.");
  EXPECT_EQ(none.calls, 0);
  EXPECT_EQ(none.complete, 0);
  EXPECT_EQ(none.done, 0);
  ASSERT_EQ(none.outcomes.size(), 1u);
  EXPECT_EQ(none.outcomes[0].right, 0);
  EXPECT_FALSE(none.outcomes[0].before_malformed);
  std::string opened_late = *expert(episode)(episode.conversation);
  opened_late.erase(0, std::string_view("<tool_call>\n").size());
  EXPECT_EQ(scores(opened_late).malformed, 1);
}

TEST(Evaluation, AModelThatNeverStopsCallingIsStopped) {
  const ToolEpisode episode = make_episode(Suite::files, Split::held_out, 0, 5);
  const auto record = play_episode(episode, [](const Conversation&) -> Result<std::string> {
    return "<tool_call>\n{\"name\": \"list_files\", \"arguments\": {\"folder\": \".\"}}\n</tool_call>";
  });
  ASSERT_TRUE(record);
  EXPECT_LE(record->scores.calls, 2 * episode.calls + 4);
  EXPECT_EQ(record->scores.complete, 0);
}

TEST(Evaluation, AModelWhoseContextIsFullHasFailedTheEpisodeAlone) {
  const ToolEpisode episode = make_episode(Suite::files, Split::held_out, 0, 5);
  const auto record =
      play_episode(episode, [](const Conversation&) -> Result<std::string> { return fail(Errc::out_of_range, "no room"); });
  ASSERT_TRUE(record);
  EXPECT_EQ(record->scores.complete, 0);
  EXPECT_EQ(record->scores.cut, 1);
  EXPECT_EQ(record->scores.calls, 0);
  EXPECT_FALSE(play_episode(episode, [](const Conversation&) -> Result<std::string> { return fail(Errc::io, "gone"); }));
}

TEST(FileWorld, AnswersAsTheFileToolsDo) {
  FileWorld world;
  world.add_file("a.txt", "one\n");
  world.add_file("docs/b.txt", "two");
  const auto run = [&](std::string_view tool, std::initializer_list<std::pair<std::string_view, Json>> members) {
    return world.execute({std::string(tool), arguments(members)});
  };
  EXPECT_EQ(run("list_files", {{"folder", "."}}), "a.txt\ndocs/");
  EXPECT_EQ(run("find_files", {{"pattern", "*.txt"}}), "a.txt\ndocs/b.txt");
  EXPECT_EQ(run("move_file", {{"from", "a.txt"}, {"to", "docs/b.txt"}}), file_tools::already_exists("docs/b.txt"));
  EXPECT_EQ(run("move_file", {{"from", "a.txt"}, {"to", "new/a.txt"}}), file_tools::moved("a.txt", "new/a.txt"));
  EXPECT_EQ(run("append_file", {{"path", "docs/b.txt"}, {"text", "three"}}), file_tools::appended("docs/b.txt"));
  EXPECT_EQ(world.files["docs/b.txt"], "two\nthree\n");
  EXPECT_EQ(run("delete_file", {{"path", "docs"}}), file_tools::not_empty("docs"));
  EXPECT_EQ(run("read_file", {{"path", "../a"}}), file_tools::outside_root("../a"));
}

// The same episodes in the coder format: what is written as XML reads back as the calls the expert made.
TEST(LongExport, CallsInXmlReadBackAsTheyWere) {
  constexpr std::string_view kBegin = "<|im_start|>assistant\n", kEnd = "<|im_end|>";
  size_t calls = 0;
  for (uint64_t seed = 0; seed < kMany / 6; ++seed) {
    const ToolEpisode episode = make_episode(Suite::mixed, Split::training, 0, seed);
    const std::string text = prompt_text(render(episode.conversation, ChatFormat::coder).value());
    size_t at = 0;
    for (const Message& message : episode.conversation.messages) {
      if (message.role != Role::assistant) continue;
      at = text.find(kBegin, at);
      ASSERT_NE(at, std::string::npos) << episode.kind;
      at += kBegin.size();
      const AssistantTurn turn =
          parse_assistant(text.substr(at, text.find(kEnd, at) - at), ChatFormat::coder, episode.conversation.tools);
      ASSERT_EQ(turn.calls.size(), message.tool_calls.size()) << episode.kind;
      for (size_t i = 0; i < turn.calls.size(); ++i) {
        ASSERT_FALSE(turn.calls[i].error) << *turn.calls[i].error;
        EXPECT_EQ(turn.calls[i].call.name, message.tool_calls[i].name);
        EXPECT_EQ(turn.calls[i].call.arguments, message.tool_calls[i].arguments) << episode.kind;
        ++calls;
      }
    }
  }
  EXPECT_GT(calls, 100u);
}

TEST(Export, WritesTheFormatThatIsAskedFor) {
  const TemporaryFolder folder;
  const auto exported = [&](ChatFormat format) {
    ExportRequest request{.suite = Suite::single, .episodes = 3, .format = format, .on_progress = {}};
    const auto path = folder.path() / "episodes.jsonl";
    EXPECT_TRUE(export_jsonl(request, path));
    return read_file(path).value_or("");
  };
  EXPECT_NE(exported(ChatFormat::coder).find("<function="), std::string::npos);
  EXPECT_EQ(exported(ChatFormat::instruct).find("<function="), std::string::npos);
}

TEST(Episodes, ParallelOnesHaveSeveralCallsInATurn) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const ToolEpisode episode = make_episode(Suite::parallel, Split::training, 0, seed);
    const auto& messages = episode.conversation.messages;
    EXPECT_TRUE(std::any_of(messages.begin(), messages.end(), [](const Message& m) { return m.tool_calls.size() > 1; }))
        << episode.kind;
  }
}

TEST(Episodes, ErrorsComeFromCallsAndAreToldInTheAnswer) {
  size_t faults = 0;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const ToolEpisode episode = make_episode(Suite::errors, Split::training, 0, seed);
    if (episode.kind != "file_script_faults") continue;
    const auto& messages = episode.conversation.messages;
    const auto failed = std::count_if(messages.begin(), messages.end(),
                                      [](const Message& m) { return m.role == Role::tool && m.content.starts_with("error"); });
    EXPECT_GE(failed, 1);
    EXPECT_EQ(episode.facts.size(), static_cast<size_t>(failed));
    EXPECT_GT(episode.calls, failed) << "the rest is done";
    ++faults;
  }
  EXPECT_GT(faults, 5u);
}

TEST(Episodes, DocumentsAreQuotedToTheLetter) {
  size_t quotes = 0;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    const ToolEpisode episode = make_episode(Suite::documents, Split::held_out, 0, seed);
    EXPECT_TRUE(episode.conversation.tools.empty());
    const std::string &prompt = episode.conversation.messages[1].content, said = episode.conversation.messages[2].content;
    const auto answer = Json::parse(said, "answer");
    ASSERT_TRUE(answer) << said;
    for (const Json& quote : answer->find("quotes")->as_array()) {
      EXPECT_NE(prompt.find("\n" + quote.find("text")->as_string() + "\n"), std::string::npos) << said;
      EXPECT_NE(prompt.find(" " + quote.find("document")->dump() + ">"), std::string::npos) << said;
      ++quotes;
    }
  }
  EXPECT_GT(quotes, 60u);
}

}  // namespace
}  // namespace quern
