// Tool calls as Qwen3-Coder-Next writes and reads them: tools listed as XML-like blocks, and calls whose strings are raw text and whose
// other values are JSON. Nothing is escaped, so this is no XML. Spec: the published chat template of Qwen3-Coder-Next and the readers of
// the engines that serve it.
//
//   <tool_call>\n<function=NAME>\n<parameter=KEY>\nVALUE\n</parameter>\n  …  </function>\n</tool_call>
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/conversation.h"

namespace quern {

// "<function>\n<name>…</function>": one tool of the list in a prompt. Parts that are missing or of another type than usual are left out.
std::string xml_tool(const Json& tool);

// "<function=NAME>\n<parameter=…</function>". Arguments that are a string are read as JSON; if they are no object, they are one parameter.
std::string xml_call(const ToolCall& call);

// Where in `text` the call that begins there, behind <tool_call>, closes: at the </tool_call> that is no part of a value. npos: it does not.
size_t xml_call_end(std::string_view text);

// What stands between <tool_call> and </tool_call>. Values get the types of the tool's parameters: raw text where only a string may stand;
// else the JSON that it reads as, if the schema admits that type; else raw text. Where no </parameter> comes, the next tag ends a value.
// malformed: no <function=NAME>, or something else than parameters in it.
Result<ToolCall> parse_xml_call(std::string_view inside, const std::vector<Json>& tools);

}  // namespace quern
