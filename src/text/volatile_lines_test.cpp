#include "text/volatile_lines.h"

#include <gtest/gtest.h>

#include "text/chat_template.h"
#include "text/model_text.h"
#include "text/token_prompt.h"

namespace quern {
namespace {

Conversation with_system(std::string system, bool tools = true) {
  Conversation c;
  c.messages.push_back({.role = Role::system, .content = std::move(system)});
  c.messages.push_back({.role = Role::user, .content = "Today's date: 1 May. What is it?"});
  if (tools) c.tools.push_back(function_tool("read_file", "Reads", Json::object()));
  return c;
}

TEST(VolatileLines, LeaveTheBillingHeaderOutWhereverItStands) {
  for (const std::string text :
       {"x-anthropic-billing-header: cc_version=2.1.37.0d9; cc_entrypoint=cli; cch=fa690;\nYou are helpful.",
        "You are helpful.\nx-anthropic-billing-header: cc_version=2.1.37.0d9; cch=0aaa9;"}) {
    Conversation c = with_system(text);
    EXPECT_EQ(move_volatile_lines(c), 1u);
    ASSERT_EQ(c.messages.size(), 2u);
    EXPECT_EQ(c.messages[0].content, "You are helpful.");
  }
}

TEST(VolatileLines, PutWhatHoldsForASessionBehindTheSystemPromptAndTheTools) {
  Conversation c = with_system(
      "You are an agent.\n\nHere is some useful information about the environment you are running in:\n<env>\n"
      "  Working directory: /home/u/mill\n  Is directory a git repo: yes\n  Today's date: Thu Oct 30 2025\n</env>\n\nBe kind.\n"
      "gitStatus: This is the git status at the start of the conversation.\nCurrent branch: main\n\n M a.txt\n\nRecent commits:\n"
      "abc one\n# Tone\nShort.");
  EXPECT_EQ(move_volatile_lines(c), 13u);
  ASSERT_EQ(c.messages.size(), 3u);
  EXPECT_EQ(c.messages[0].content, "You are an agent.\n\n\nBe kind.\n# Tone\nShort.");
  EXPECT_EQ(c.messages[1].role, Role::system);
  EXPECT_TRUE(c.messages[1].content.starts_with("Here is some useful information"));
  EXPECT_TRUE(c.messages[1].content.ends_with("Recent commits:\nabc one"));
  EXPECT_EQ(c.messages[2].content, "Today's date: 1 May. What is it?") << "what a user says is never touched";
}

TEST(VolatileLines, KnowTheNewerListOfTheEnvironment) {
  Conversation c = with_system(
      "Rules.\n# Environment\nYou have been invoked in the following environment: \n - Primary working directory: /w\n  - Is a git "
      "repository: true\n - Platform: linux\n\nMore rules.\n# Environment\nis what we care for.");
  EXPECT_EQ(move_volatile_lines(c), 5u);
  EXPECT_EQ(c.messages[0].content, "Rules.\n\nMore rules.\n# Environment\nis what we care for.");
}

TEST(VolatileLines, PutAClockAtTheEndAndADateBehindTheSystemPrompt) {
  for (const std::string_view line :
       {"Current time: 2026-01-02 18:47", "- **Current date and time**: Sunday, 6:47 PM",
        "The current date and time in ISO format is 2026-01-02T18:47:03Z.", "Today is Friday, 18:47"}) {
    Conversation c = with_system(fmt::format("A.\n{}\nB.", line));
    EXPECT_EQ(move_volatile_lines(c), 1u) << line;
    ASSERT_EQ(c.messages.size(), 3u) << line;
    EXPECT_EQ(c.messages[0].content, "A.\nB.");
    EXPECT_EQ(c.messages[2].content, line);
    EXPECT_EQ(c.messages[2].role, Role::system);
  }
  for (const std::string_view line :
       {"Today's date: 2026-01-02", "Current date: 2 January 2026", "Today is Thursday, 2026-09-10 in Rome."}) {
    Conversation c = with_system(fmt::format("A.\n{}", line));
    EXPECT_EQ(move_volatile_lines(c), 1u) << line;
    EXPECT_EQ(c.messages[1].content, line);
  }
  Conversation begun = with_system("A.\nCurrent time: 18:47");
  begun.messages.push_back({.role = Role::assistant, .content = "It is"});
  move_volatile_lines(begun);
  EXPECT_EQ(begun.messages[3].content, "It is") << "an answer that was begun stays last";
}

TEST(VolatileLines, LeaveEverythingElseAlone) {
  for (const std::string text :
       {"", "You are helpful.", "Ask for the current time if you need it.", "The current directory has 3 files.",
        "<env>\nnever closed", "# Environment\nprotect it, at 12:30.", "Today is a good day.", "Date: unknown",
        "The current state of the art: see section 4.2", "The current update 2.1 has a runtime of 3:45."}) {
    Conversation c = with_system(text);
    EXPECT_EQ(move_volatile_lines(c), 0u) << text;
    EXPECT_EQ(c.messages[0].content, text);
    EXPECT_EQ(c.messages.size(), 2u);
  }
  Conversation only = with_system("Today's date: 2026-01-02", /*tools=*/false);
  EXPECT_EQ(move_volatile_lines(only), 0u) << "there is nothing that it stands in front of";
  Conversation off = with_system("A.\nCurrent time: 18:47");
  EXPECT_EQ(move_volatile_lines(off, {.move = false}), 0u);
  Conversation none;
  EXPECT_EQ(move_volatile_lines(none), 0u);
}

TEST(VolatileLines, KeepThePromptsOfTwoRequestsAlikeUpToWhatDiffers) {
  const Tokenizer tokenizer = load_tokenizer(std::string(QUERN_REPO) + "/models/pebble").value();
  std::vector<TokenPrompt> prompts;
  for (const std::string_view odd : {"cch=36ee5;|/home/a", "cch=0aaa9;|/home/b"}) {
    const size_t bar = odd.find('|');
    Conversation c =
        with_system(fmt::format("x-anthropic-billing-header: {}\nRules.\n<env>\nWorking directory: {}\n</env>\nMore rules.",
                                odd.substr(0, bar), odd.substr(bar + 1)));
    move_volatile_lines(c);
    prompts.push_back(encode_with_boundaries(tokenizer, render(c, ChatFormat::coder).value()).value());
  }
  const auto& [a, b] = std::pair(prompts[0], prompts[1]);
  const auto common = static_cast<size_t>(std::mismatch(a.ids.begin(), a.ids.end(), b.ids.begin()).first - a.ids.begin());
  EXPECT_GT(common, a.boundaries[0]) << "system prompt and tools are shared";
  EXPECT_LT(common, a.boundaries[1]);
}

}  // namespace
}  // namespace quern
