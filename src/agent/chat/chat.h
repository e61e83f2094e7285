// A chat: a conversation that somebody goes on with, goes back in, and splits into branches. The model's state goes along as a value, so
// going back one turn or switching to another branch reads nothing again.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/chat_model.h"
#include "agent/loop.h"

namespace quern {

class Chat {
 public:
  static constexpr size_t kPoints = 4;  // turns one can go back without reading again; each keeps a model's state
  static constexpr const char* kMain = "main";

  explicit Chat(std::unique_ptr<ChatModel> model);

  // Asks in the present branch, with these tools: options' instruction, system and conversation are set here. What was said of an answer
  // that was interrupted, or cut at a limit, stays; where nothing was said, the question is taken back.
  EndEvent ask(const std::string& question, const ToolRegistry& tools, LoopOptions options);

  // The conversation without its last question and what came after; that question. Nothing when there is none.
  std::optional<std::string> undo();
  void clear();  // the branch, not its system prompt
  void set_system(std::string text);
  const std::string& system() const { return system_; }

  // A copy of the present branch, which becomes the present one. invalid_argument: the name is taken, or no name (ChatFolder's).
  Result<void> fork(const std::string& name);
  Result<void> switch_to(const std::string& name);  // not_found
  const std::string& branch() const { return name_; }
  std::vector<std::string> branches() const;
  size_t messages_of(const std::string& branch) const;

  const std::vector<Message>& messages() const { return present_->conversation.messages; }
  const Conversation& conversation() const { return present_->conversation; }
  ChatModel& model() { return *present_->model; }
  const ChatModel& model() const { return *present_->model; }
  // Other messages in the present branch; a system message among them becomes the system prompt.
  void replace(std::vector<Message> messages);
  // Another model for all branches, made by `make` for each: what was said goes over as text.
  void replace_model(const std::function<std::unique_ptr<ChatModel>()>& make);
  // What every model of the chat is told: its sampling, say.
  void for_each_model(const std::function<void(ChatModel&)>& visit);

 private:
  struct Point {
    size_t messages;  // before its question
    std::unique_ptr<ChatModel> model;
  };
  struct Branch {
    Conversation conversation;
    std::unique_ptr<ChatModel> model;
    std::deque<Point> points;
  };

  void truncate(size_t messages);
  void keep_cut_answer(const std::string& text, size_t before);

  std::map<std::string, Branch> branches_;
  Branch* present_ = nullptr;
  std::string name_ = kMain, system_;
};

}  // namespace quern
