// A whole assistant turn as a byte automaton: free text in which <tool_call> opens a part that can only be a valid call of an offered tool,
// in one of the family's two formats, with its closing tag; before it, in thinking models, the reasoning up to </think>.
//
// Outside calls and code fences no line may begin like a call whose opener is missing ({"name": "<an offered tool>" or <function=): such a
// call cannot be written. Formats and wording are those of the published chat templates of Qwen3-Next and Qwen3-Coder-Next, which
// text/chat_template.h renders and text/assistant_parser.h reads.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "constrain/machine.h"
#include "constrain/schema_machine.h"

namespace quern {

enum class CallFormat {
  hermes,  // <tool_call>\n{"name": "f", "arguments": {…}}\n</tool_call>
  xml,  // <tool_call>\n<function=f>\n<parameter=p>\nvalue\n</parameter>\n</function>\n</tool_call>; strings raw, other values JSON
};

struct ToolChoice {
  // automatic: text and calls. none: text. required, named: calls only, at least one, after the reasoning if there is one; text before
  // the first would have no bound.
  enum class Kind { automatic, none, required, named };
  Kind kind = Kind::automatic;
  std::string name;  // named
};

struct TurnOptions {
  std::vector<Json> tools;  // whole tool objects, {"type": "function", "function": {"name", "parameters"}}
  CallFormat format = CallFormat::hermes;
  ToolChoice choice;
  bool thinking = false;       // the turn starts inside <think>
  bool parallel_calls = true;  // several calls in one turn
  // What a turn without calls has to be, after the reasoning: JSON that satisfies this schema. Such a turn is calls or the answer, and
  // nothing beside them: text before a call would have no bound.
  std::optional<Json> answer;
  SchemaOptions schema{.numbers = NumberSpelling::shortest};

  std::string key() const;  // equal options have equal keys, for ConstraintCache
};

class TurnMachine : public Machine {
 public:
  // What the next byte belongs to.
  enum class Part : uint8_t {
    reasoning,
    text,     // or the answer's JSON
    gap,      // line breaks that the format wants between the parts
    opening,  // of a call, up to where its arguments begin
    // The arguments:
    json,             // their own text, or (xml) an array or object that is a parameter's value
    parameter_tags,   // xml
    parameter_name,   // xml
    parameter_value,  // xml: not yet known whether a raw string or a scalar's JSON
    raw_string,       // xml
    scalar,           // xml
    closing,          // behind the arguments, up to the call's end
  };
  struct Place {
    Part part = Part::text;
    uint32_t tool = 0;        // from the arguments on: which
    std::string_view closer;  // what ends the part, where its bytes can be told from the part's own only when all are there
  };
  virtual Place place(State state) = 0;
  virtual CallFormat format() const = 0;
  virtual const std::string& tool_name(uint32_t tool) const = 0;
};

// Errors: a tool whose parameters cannot be enforced exactly ("tool 'f': #/properties/a/not: …"), unsupported; a chosen tool that is not
// offered, not_found; an answer's schema that cannot be enforced ("answer: …"), unsupported; a tool without a name, with one the format cannot spell or another tool has, a call wanted where no tool is offered,
// invalid_argument.
Result<std::unique_ptr<TurnMachine>> compile_turn(const TurnOptions& options);

}  // namespace quern
