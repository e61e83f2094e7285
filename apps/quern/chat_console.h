// Somebody at a terminal, and a chat: what is typed is a question, or a command that begins with '/'.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/chat/chat.h"
#include "agent/chat/saved_chat.h"
#include "agent/engine_model.h"
#include "agent/mcp/mcp_tools.h"
#include "agent/tools/tool.h"
#include "chat_view.h"
#include "command.h"
#include "line_editor.h"

namespace quern {

struct ChatOptions {
  CommonOptions common;
  std::string question, system, tools, root = ".", load;
  std::vector<std::string> files, mcp, hosts;
  bool yes = false, no_thinking = false, no_history = false;
  std::optional<double> temperature, top_p, min_p;
  std::optional<int64_t> top_k;
  uint64_t seed = 1;
  int64_t max_tokens = 16384;  // of one answer
};

class ChatConsole {
 public:
  // live: questions come from a terminal; otherwise one is asked and only its answer shown.
  static Result<std::unique_ptr<ChatConsole>> create(ChatOptions options, bool live);

  Result<int> converse();  // until somebody ends it
  Result<int> answer_once(const std::string& question);

 private:
  struct Command;
  static const std::vector<Command>& commands();

  explicit ChatConsole(ChatOptions options, bool live, ChatFolder folder)
      : options_(std::move(options)), view_(live, !options_.no_thinking), folder_(std::move(folder)) {}

  Result<std::unique_ptr<Engine>> load_engine(const std::string& named) const;
  std::unique_ptr<ChatModel> make_model(const Engine& engine) const;
  Result<void> choose_tools(const std::string& chosen);
  std::optional<std::string> answer_of_user(const std::string& question, const std::vector<std::string>& choices);
  EndEvent ask(const std::string& question);
  void ask_and_show(const std::string& question);
  std::optional<std::string> read_message();
  std::string prompt() const;
  std::vector<std::string> complete(std::string_view line, std::string_view word) const;
  Result<void> run_command(std::string_view line);

  Result<void> help(const std::string& rest);
  Result<void> tools(const std::string& rest);
  Result<void> system(const std::string& rest);
  Result<void> model(const std::string& rest);
  Result<void> begin_anew(const std::string& rest);
  Result<void> undo(const std::string& rest);
  Result<void> retry(const std::string& rest);
  Result<void> edit(const std::string& rest);
  Result<void> fork(const std::string& rest);
  Result<void> switch_branch(const std::string& rest);
  Result<void> forks(const std::string& rest);
  Result<void> save(const std::string& rest);
  Result<void> load(const std::string& rest);
  Result<void> list(const std::string& rest);
  Result<void> export_page(const std::string& rest);
  Result<void> tokens(const std::string& rest);
  Result<void> stats(const std::string& rest);
  Result<void> set(const std::string& rest);
  Result<void> attach(const std::string& rest);
  Result<void> quit(const std::string& rest);

  ChatOptions options_;
  ChatView view_;
  ChatFolder folder_;
  std::string model_name_;
  std::unique_ptr<Engine> engine_;
  SamplingParams sampling_;
  McpClients servers_;
  ToolRegistry tools_;
  std::optional<Chat> chat_;  // its models must not outlive the engine
  std::unique_ptr<LineEditor> editor_;
  std::string attached_, saved_as_, prefilled_;
  int64_t attachments_ = 0, questions_ = 0;
  bool quit_ = false, edits_last_ = false;  // the next question stands in place of the last
};

}  // namespace quern
