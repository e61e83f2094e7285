// Results of tools in the order of their calls: the models' format has no ids, so the order is all that tells which is whose.
#pragma once

#include <string>
#include <vector>

#include "text/conversation.h"

namespace quern {

struct IdentifiedMessage {
  Message message;
  std::vector<std::string> call_ids = {};  // an assistant's, of its calls
  std::string result_id = {};              // a tool's
};

// The results behind each message with calls come in its calls' order; those that belong to none of them last.
void order_tool_results(std::vector<IdentifiedMessage>& messages);

}  // namespace quern
