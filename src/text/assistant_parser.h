// What a model said, taken apart: reasoning, content, and tool calls: Hermes-style, <tool_call>\n{"name": …, "arguments": {…}}\n</tool_call>,
// or, in the coder format, as text/xml_calls.h says.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/chat_template.h"
#include "text/conversation.h"

namespace quern {

struct ParsedCall {
  ToolCall call;                     // when error is empty
  std::string text;                  // what stood between the tags
  std::optional<std::string> error;  // why it is no call: not JSON or XML, no name, arguments not an object, no closing tag
};

struct AssistantTurn {
  std::string reasoning;
  std::string content;  // text outside calls and reasoning, trimmed where calls follow
  std::vector<ParsedCall> calls;
  // A line outside any <tool_call> that begins like a call ({"name": "<one of the offered tools>" or <function=): its opener is missing.
  bool missing_opener = false;
};

// `text` is the decoded output after the generation prompt, without the end-of-turn token. `tools`: the conversation's tools.
// Calls inside reasoning are not calls; outside the thinking format, </think> behind the first <tool_call> ends no reasoning. The first complete JSON value counts; what follows it up to the closing tag is ignored.
AssistantTurn parse_assistant(std::string_view text, ChatFormat format, const std::vector<Json>& tools);

// A shallow, exact check of arguments against a tool's parameters schema, enough to tell a model what is wrong: type, properties,
// required, enum, items, additionalProperties, minimum/maximum, nested objects. Other keywords are not looked at.
Result<void> check_arguments(const Json& tool, const Json& arguments);

}  // namespace quern
