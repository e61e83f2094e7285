// What a model said, in any bytes: parsing takes it apart without losing its way, and arguments are checked against their schema.
#include "fuzz.h"
#include "text/assistant_parser.h"

using namespace quern;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::vector<Json> tools{
      Json::parse(R"({"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties":
    {"a": {"type": "integer", "minimum": 0}, "b": {"type": "array", "items": {"enum": ["x", 1]}}, "c": {"type": "object", "additionalProperties": false}},
    "required": ["a"]}}})",
                  "tool")
          .value()};
  for (const ChatFormat format : {ChatFormat::instruct, ChatFormat::thinking}) {
    const AssistantTurn turn = parse_assistant(fuzz::text_of(data, size), format, tools);
    for (const ParsedCall& parsed : turn.calls) {
      if (parsed.error) continue;
      QUERN_CHECK(!parsed.call.name.empty() && parsed.call.arguments.is_object(), parsed.text);
      if (const Json* tool = find_tool(tools, parsed.call.name)) fuzz::succeeded(check_arguments(*tool, parsed.call.arguments));
    }
  }
  return 0;
}
