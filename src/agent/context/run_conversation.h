// The conversation of a run as it grows: what a compaction has to know of each message, and whether the context still has room.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/chat_model.h"
#include "agent/context/compaction.h"

namespace quern {

class RunConversation {
 public:
  // What of a message a compaction has to know; see RunMessage.
  struct Note {
    int64_t call = 0;
    std::string call_line;
    bool digest = false;
  };

  // Goes on with `conversation`, which must outlive this and be changed by nobody else.
  explicit RunConversation(Conversation& conversation) : conversation_(conversation), notes_(conversation.messages.size()) {}

  const Conversation& get() const { return conversation_; }
  void add(Message message, Note note);
  void add(Role role, std::string content, Note note);
  void add(Role role, std::string content) { add(role, std::move(content), Note()); }

  // Other tools from here on: what was known about the prompt's length is not any more.
  void offer(std::vector<Json> tools) {
    conversation_.tools = std::move(tools);
    read_tokens_.reset();
  }
  // The model has had everything so far as this many tokens.
  void was_read(int64_t tokens);
  // How to shorten the conversation so that its prompt stays below `limit` tokens; nothing where it does, or where there is no way.
  // readable: what was shortened can be read again with read_result.
  std::optional<CompactionPlan> plan(const ChatModel& model, int64_t limit, bool readable) const;
  void compact(const CompactionPlan& plan, bool readable);

 private:
  std::vector<RunMessage> messages() const;

  Conversation& conversation_;
  std::vector<Note> notes_;  // one a message
  std::optional<int64_t> read_tokens_;
  int64_t unread_bytes_ = 0;
};

}  // namespace quern
