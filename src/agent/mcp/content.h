// What a server answers, as text that a model can read. What is not text becomes a line that says what was left out.
#pragma once

#include "agent/tools/tool.h"
#include "base/json.h"
#include "base/result.h"

namespace quern {

constexpr size_t kMaxMcpText = size_t{4} << 20;  // of one result; the rest is cut, and the text says so

ToolResult text_of_call(const Json& result);  // of tools/call
// Its structuredContent is there and as the tool's outputSchema says. mismatch: it is not.
Result<void> check_output(const Json& schema, const Json& result);
ToolResult text_of_resource(const Json& result);  // of resources/read
ToolResult text_of_prompt(const Json& result);    // of prompts/get

}  // namespace quern
