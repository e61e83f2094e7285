// Messages of Anthropic's API and the blocks they are made of, as messages of a conversation.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "text/conversation.h"

namespace quern {

// A string, or blocks of text joined by line breaks. Errors name `where` and the block.
Result<std::string> anthropic_text(const Json& content, const std::string& where, std::vector<std::string>& notes);

// Appends what the message says: a user's message is the results of tools, then text, in as many messages as that takes. `calls`: ids of
// the calls in the assistant's last message, whose order their results are put in.
Result<void> read_anthropic_message(const Json& message, const std::string& where, Conversation& conversation,
                                    std::vector<std::string>& calls, std::vector<std::string>& notes);

}  // namespace quern
