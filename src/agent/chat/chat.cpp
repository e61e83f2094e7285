#include "agent/chat/chat.h"

#include "agent/chat/saved_chat.h"
#include "text/assistant_parser.h"

namespace quern {

Chat::Chat(std::unique_ptr<ChatModel> model) {
  present_ = &branches_[kMain];
  present_->model = std::move(model);
}

EndEvent Chat::ask(const std::string& question, const ToolRegistry& tools, LoopOptions options) {
  Branch& branch = *present_;
  const size_t before = branch.conversation.messages.size();
  if (auto state = branch.model->fork()) branch.points.push_back({before, std::move(state)});
  if (branch.points.size() > kPoints) branch.points.pop_front();
  std::string unfinished;  // an answer that the loop has not taken into the conversation
  const EventSink sink = std::move(options.on_event);
  options.on_event = [&](const Event& event) {
    if (const auto* turn = std::get_if<TurnEvent>(&event))
      unfinished = turn->text;
    else if (!std::holds_alternative<EndEvent>(event))
      unfinished.clear();
    if (sink) sink(event);
  };
  options.instruction = question;
  options.system = system_;
  options.conversation = &branch.conversation;
  EndEvent end = run_loop(*branch.model, tools, options);
  if (end.status != RunStatus::success) keep_cut_answer(unfinished, before);
  return end;
}

void Chat::keep_cut_answer(const std::string& text, size_t before) {
  std::vector<Message>& messages = present_->conversation.messages;
  if (messages.size() <= before || messages.back().role == Role::assistant) return;
  std::string said = text;
  // A call that was not finished was not made, and is not shown to the model as if it had been.
  if (const size_t call = said.rfind("<tool_call>");
      call != std::string::npos && said.find("</tool_call>", call) == std::string::npos)
    said.resize(call);
  if (said.find_first_not_of(" \n") != std::string::npos) {
    AssistantTurn turn = parse_assistant(said, present_->model->format(), present_->conversation.tools);
    Message message;
    message.role = Role::assistant;
    message.content = std::move(turn.content);
    if (!turn.reasoning.empty()) message.reasoning = std::move(turn.reasoning);
    message.verbatim = std::move(said);
    messages.push_back(std::move(message));
  } else if (messages.back().role == Role::user) {
    truncate(before);
  }
}

// Back to where there were that many messages, with the model's state of then where it is still kept.
void Chat::truncate(size_t messages) {
  Branch& branch = *present_;
  branch.conversation.messages.resize(std::min(messages, branch.conversation.messages.size()));
  while (!branch.points.empty() && branch.points.back().messages >= messages) {
    if (branch.points.back().messages == messages) branch.model = std::move(branch.points.back().model);
    branch.points.pop_back();
  }
}

std::optional<std::string> Chat::undo() {
  const std::vector<Message>& messages = present_->conversation.messages;
  for (size_t i = messages.size(); i-- > 0;) {
    if (messages[i].role != Role::user) continue;
    std::string question = messages[i].content;
    truncate(i == 1 && messages[0].role == Role::system ? 0 : i);  // the system prompt comes again with the next question
    return question;
  }
  return std::nullopt;
}

void Chat::clear() {
  present_->conversation.messages.clear();
  present_->points.clear();
}

void Chat::set_system(std::string text) {
  system_ = std::move(text);
  for (auto& [name, branch] : branches_) {
    std::vector<Message>& messages = branch.conversation.messages;
    branch.points.clear();
    const bool has = !messages.empty() && messages[0].role == Role::system;
    if (messages.empty()) continue;
    if (has) messages.erase(messages.begin());
    if (system_.empty()) continue;
    Message message;
    message.role = Role::system;
    message.content = system_;
    messages.insert(messages.begin(), std::move(message));
  }
}

Result<void> Chat::fork(const std::string& name) {
  QUERN_TRY(ChatFolder::check_name(name));
  if (branches_.contains(name)) return fail(Errc::invalid_argument, "there is a branch {} already", name);
  auto state = present_->model->fork();
  if (!state) return fail(Errc::unsupported, "this model cannot be forked");
  Branch& branch = branches_[name];
  branch.conversation = present_->conversation;
  branch.model = std::move(state);
  present_ = &branch;
  name_ = name;
  return {};
}

Result<void> Chat::switch_to(const std::string& name) {
  const auto found = branches_.find(name);
  if (found == branches_.end()) return fail(Errc::not_found, "{}: no such branch (/forks shows them)", name);
  present_ = &found->second;
  name_ = name;
  return {};
}

std::vector<std::string> Chat::branches() const {
  std::vector<std::string> names;
  for (const auto& [name, branch] : branches_) names.push_back(name);
  return names;
}

size_t Chat::messages_of(const std::string& branch) const { return branches_.at(branch).conversation.messages.size(); }

void Chat::replace(std::vector<Message> messages) {
  present_->points.clear();
  system_ = !messages.empty() && messages[0].role == Role::system ? messages[0].content : std::string();
  present_->conversation.messages = std::move(messages);
}

void Chat::replace_model(const std::function<std::unique_ptr<ChatModel>()>& make) {
  for (auto& [name, branch] : branches_) {
    branch.points.clear();
    branch.model = make();
    for (Message& message : branch.conversation.messages) message.verbatim.reset();  // how another model writes is its own affair
  }
}

void Chat::for_each_model(const std::function<void(ChatModel&)>& visit) {
  for (auto& [name, branch] : branches_) {
    visit(*branch.model);
    for (Point& point : branch.points) visit(*point.model);
  }
}

}  // namespace quern
