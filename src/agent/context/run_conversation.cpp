#include "agent/context/run_conversation.h"

#include <algorithm>

namespace quern {
namespace {

constexpr int64_t kMessageTokens = 32;  // what a message's markup takes, generously

int64_t tokens_of(const ChatModel& model, const Conversation& conversation) { return model.count_tokens(conversation).value_or(0); }

}  // namespace

void RunConversation::add(Message message, Note note) {
  unread_bytes_ += static_cast<int64_t>(message.content.size()) + kMessageTokens;
  conversation_.messages.push_back(std::move(message));
  notes_.push_back(std::move(note));
}

void RunConversation::add(Role role, std::string content, Note note) {
  Message message;
  message.role = role;
  message.content = std::move(content);
  add(std::move(message), std::move(note));
}

void RunConversation::was_read(int64_t tokens) {
  read_tokens_ = tokens;
  unread_bytes_ = 0;
}

std::vector<RunMessage> RunConversation::messages() const {
  std::vector<RunMessage> all;
  for (size_t i = 0; i < notes_.size(); ++i)
    all.push_back({conversation_.messages[i], notes_[i].call, notes_[i].call_line, notes_[i].digest});
  return all;
}

std::optional<CompactionPlan> RunConversation::plan(const ChatModel& model, int64_t limit, bool readable) const {
  if (read_tokens_ && *read_tokens_ + unread_bytes_ <= limit) return std::nullopt;  // a token is a byte at least: no need to count
  if (tokens_of(model, conversation_) <= limit) return std::nullopt;
  const std::vector<RunMessage> whole = messages();
  // To well below the limit, for each compaction costs a prompt that is read again from where it changed. What always stays (the tools, the
  // system prompt, the task) cannot count against that.
  Conversation fixed;
  fixed.tools = conversation_.tools;
  for (size_t i = 0; i < whole.size() && whole[i].message.role != Role::assistant && !whole[i].digest; ++i)
    fixed.messages.push_back(whole[i].message);
  const int64_t always = std::min(tokens_of(model, fixed), limit), room = limit - always;
  std::optional<CompactionPlan> best;
  bool fits = false;  // whether best leaves at least a little room
  for (CompactionPlan& plan : compaction_plans(whole)) {
    Conversation trial;
    trial.tools = conversation_.tools;
    for (RunMessage& m : compacted(whole, plan, readable)) trial.messages.push_back(std::move(m.message));
    const int64_t tokens = tokens_of(model, trial);
    const bool enough = tokens <= always + room * 3 / 5;
    if (enough || !fits) best = std::move(plan);
    if (enough) break;
    fits = fits || tokens <= always + room * 7 / 8;
  }
  return best;
}

void RunConversation::compact(const CompactionPlan& plan, bool readable) {
  std::vector<RunMessage> shorter = compacted(messages(), plan, readable);
  conversation_.messages.clear();
  notes_.clear();
  for (RunMessage& m : shorter) {
    conversation_.messages.push_back(std::move(m.message));
    notes_.push_back({m.call, std::move(m.call_line), m.digest});
  }
  read_tokens_.reset();
}

}  // namespace quern
