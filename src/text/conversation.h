// A conversation as the chat formats know it, and a prompt as the tokenizer takes it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace quern {

enum class Role { system, user, assistant, tool };

std::string_view role_name(Role role);

struct ToolCall {
  std::string name;
  Json arguments;  // an object; or a string, which is rendered verbatim (a client may replay what a model wrote)
};

// What a tool object says of its function: its "function" member, or itself where a client left that shell out.
const Json& tool_function(const Json& tool);
// A tool as conversations hold it: {"type": "function", "function": {"name": …, "description": …, "parameters": …}}.
Json function_tool(std::string_view name, std::string_view description, Json parameters);

// The tool object called `name` in `tools`, or nullptr.
const Json* find_tool(const std::vector<Json>& tools, std::string_view name);

struct Message {
  Role role = Role::user;
  std::string content;
  bool content_is_text = true;  // false: the client sent something else than a string; the published templates render it empty
  std::optional<std::string> reasoning;  // assistant: reasoning_content
  std::vector<ToolCall> tool_calls;      // assistant
  // assistant, when this engine generated the message: its exact text, rendered in place of content and calls, so that the prompt
  // of the next turn starts with the very tokens that were generated.
  std::optional<std::string> verbatim;
  // The ids that `verbatim` was generated as, where they are known: reading the text again may cut it into other ones.
  std::vector<int32_t> verbatim_ids;
};

struct Conversation {
  std::vector<Message> messages;
  std::vector<Json> tools;  // each the whole tool object as the client sent it: {"type": "function", "function": {…}}
  bool add_generation_prompt = true;
  std::optional<Json>
      answer_schema;  // what an answer without calls has to satisfy, where the engine can hold it to that; never rendered

  // REQUEST.json of `quern render`, and the body of a chat request: {"messages": […], "tools": […], "add_generation_prompt": true}.
  // Errors name the place: "request: messages[3].content: …".
  static Result<Conversation> from_json(const Json& request);
};

// Special tokens are parsed only in trusted pieces; what a user, a file or a tool wrote is never trusted.
struct PromptPiece {
  std::string text;
  bool trusted = false;
  std::vector<int32_t> ids = {};  // not empty: the piece is these tokens, whatever `text` would be read as
};
using Prompt = std::vector<PromptPiece>;

std::string prompt_text(const Prompt& prompt);

}  // namespace quern
