// quern chat: talking to a model, at a terminal or one question at a time.
#include <unistd.h>

#include <cerrno>

#include "base/utf8.h"
#include "chat_console.h"

namespace quern {
namespace {

constexpr size_t kMostQuestionBytes = 4 << 20;

Result<std::string> read_input() {
  std::string text;
  char buffer[1 << 14];
  for (;;) {
    const ssize_t got = ::read(STDIN_FILENO, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(Errc::io, "cannot read standard input");
    if (got == 0) break;
    text.append(buffer, static_cast<size_t>(got));
    if (text.size() > kMostQuestionBytes)
      return fail(Errc::out_of_range, "standard input: longer than {} MiB", kMostQuestionBytes >> 20);
  }
  if (find_invalid_utf8(text) != std::string::npos) return fail(Errc::malformed, "standard input: not valid UTF-8");
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

Result<int> chat(const ChatOptions& o) {
  const bool terminal = ::isatty(STDIN_FILENO) == 1;
  std::string question = o.question;
  if (question.empty() && !terminal) {
    QUERN_ASSIGN(question, read_input());
    if (question.find_first_not_of(" \t\r\n") == std::string::npos) return fail(Errc::invalid_argument, "the question is empty");
  }
  const bool live = question.empty();
  if (live && ::isatty(STDOUT_FILENO) != 1)
    return fail(Errc::invalid_argument, "chat: expected a question where standard output is no terminal");
  QUERN_ASSIGN(const auto console, ChatConsole::create(o, live));
  return live ? console->converse() : console->answer_once(question);
}

}  // namespace

void add_chat_command(CLI::App& app, Body& body) {
  auto o = std::make_shared<ChatOptions>();
  CLI::App* command = add_command(app, "chat", "Talk to a model in the terminal");
  command->footer(
      "Examples:\n"
      "  quern chat --model MODEL\n"
      "  quern chat --model MODEL --tools files --root ~/notes\n"
      "  quern chat --model MODEL 'What is a quern?'\n"
      "  git diff | quern chat --model MODEL --system 'Write a commit message for this change.'\n\n"
      "At a terminal, /help shows the commands: going back, branches, saving, tools, settings. A question on the command line or on\n"
      "standard input is answered once, and only the answer is printed. Tools that change something ask first; without a terminal they\n"
      "are refused unless --yes. pebble, the model that comes with quern, is made for calling tools and knows nothing of the world.\n\n"
      "Exit: 0 success, 1 failure, 2 wrong usage, 130 interrupted. docs/chat.md has the rest.");
  command->add_option("question", o->question, "Asked once; absent: a conversation, or standard input where that is no terminal")
      ->type_name("QUESTION");
  command->add_option("--system", o->system, "The system prompt")->type_name("TEXT");
  command->add_option("--file", o->files, "A text file, put in front of the first question; may be given again")
      ->type_name("PATH")
      ->allow_extra_args(false);
  command->add_option("--tools", o->tools, "What the model may call: files, all, or names with commas between; absent: nothing")
      ->type_name("TOOLS");
  command
      ->add_option("--mcp", o->mcp,
                   "An MCP server whose tools it may call: NAME=PROGRAM, NAME=URL, or a .json file; may be given again")
      ->type_name("SERVER")
      ->allow_extra_args(false);
  command->add_option("--allow-host", o->hosts, "A host that http_request may reach; may be given again")
      ->type_name("HOST")
      ->allow_extra_args(false);
  command->add_option("--root", o->root, "The folder that tools work in")->type_name("DIR")->capture_default_str();
  command->add_flag("--yes,-y", o->yes, "Carry out calls that change something without asking");
  command->add_option("--load", o->load, "Go on with a chat that was saved with /save")->type_name("NAME");
  command->add_option("--temperature", o->temperature, "0 is greedy; absent: generation_config.json")
      ->check(CLI::Range(0.0, 100.0));
  command->add_option("--top-p", o->top_p, "Keep the likeliest tokens up to this probability")->check(CLI::Range(0.0, 1.0));
  command->add_option("--top-k", o->top_k, "Keep this many of the likeliest tokens; 0 keeps all")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 31));
  command->add_option("--min-p", o->min_p, "Drop tokens less likely than this share of the likeliest")->check(CLI::Range(0.0, 1.0));
  command->add_option("--seed", o->seed, "Seed of the sampler")->capture_default_str();
  command->add_option("--max-tokens", o->max_tokens, "Tokens one answer may have")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40))
      ->capture_default_str();
  command->add_flag("--no-thinking", o->no_thinking, "Do not show what a thinking model thinks");
  command->add_flag("--no-history", o->no_history, "Do not keep what is typed");
  o->common.add_to(*command, "bf16");
  command->callback([o, &body] { body = [o] { return chat(*o); }; });
}

}  // namespace quern
