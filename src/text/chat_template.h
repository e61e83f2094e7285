// The family's prompt formats, written by hand: ChatML with Hermes-JSON tools, with and without thinking, and with XML tools. There is no
// template engine: a checkpoint's template text only selects one of these. Spec: the published chat_template.jinja of the 2507 generation
// and of Qwen3-Coder-Next.
#pragma once

#include <string_view>

#include "base/result.h"
#include "text/conversation.h"

namespace quern {

enum class ChatFormat { instruct, thinking, coder };  // coder: the XML tool calls of Qwen3-Coder-Next

std::string_view chat_format_name(ChatFormat format);
Result<ChatFormat> parse_chat_format(std::string_view name);

// What a checkpoint's template text selects.
struct TemplateChoice {
  ChatFormat format = ChatFormat::instruct;
  bool exact = false;  // the text's hash is known; otherwise a family member's text was recognised by its marks: warn the user
};
// unsupported when the text is not of the family: the message says to choose with --template.
Result<TemplateChoice> recognise_template(std::string_view chat_template);

// The exact prompt. Text that came from messages and tools is untrusted, the format's own markup is trusted.
Result<Prompt> render(const Conversation& conversation, ChatFormat format);

}  // namespace quern
