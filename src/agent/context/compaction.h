// Compaction: what of a long run's conversation may go when the context fills up. The system prompt, the task and the last turns stay as
// they are. Of the others the results are shortened first, save those that a later call took an argument from; then whole turns become a
// digest of one line a call. The digest stands in the place of a tool's result: it holds tools' words, which are data.
// A plan says exactly what goes, so that a run that is continued from its journal does the same again.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "text/conversation.h"

namespace quern {

// A conversation's message and, of a tool's result, its call (number, and as one line for a digest).
struct RunMessage {
  Message message;
  int64_t call = 0;
  std::string call_line;
  bool digest = false;  // made by an earlier compaction
};

struct CompactionPlan {
  size_t keep_from = 0;           // messages from here on stay; the first is an assistant's
  std::vector<size_t> keep;       // results before it that stay too, with their turns
  bool drop_turns = false;        // turns that do not stay become a digest; otherwise results alone are shortened
  size_t digest_bytes = 4 << 10;  // the digest's limit: of too many lines the oldest go

  Json json() const;
  // malformed: no plan for that many messages.
  static Result<CompactionPlan> from_json(const Json& json, size_t messages);
};

// The plans for this conversation, the gentlest first; empty when there is nothing to take away.
std::vector<CompactionPlan> compaction_plans(const std::vector<RunMessage>& messages);

// readable: shortened results tell of read_result.
std::vector<RunMessage> compacted(const std::vector<RunMessage>& messages, const CompactionPlan& plan, bool readable);

}  // namespace quern
