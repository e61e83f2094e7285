// A tool as the agent loop sees it: what a model is told about it, whether it changes anything, and what carries it out. Where a tool
// comes from (the file tools, another program) is nobody's business here: it is added to the registry like any other.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace quern {

struct ToolResult {
  std::string text;
  bool is_error = false;
};

// What a call may need from the run it belongs to.
struct CallContext {
  std::function<bool()> cancelled;                       // looked at ten times a second by whatever takes long; empty: never
  std::function<void(std::string_view line)> on_output;  // what it prints meanwhile, for whoever watches; empty: nobody does

  bool is_cancelled() const { return cancelled && cancelled(); }
};

struct Tool {
  using Function = std::function<ToolResult(const Json& arguments, const CallContext& context)>;

  Json definition;       // the whole object {"type": "function", "function": {"name": …, "parameters": …}}
  std::string origin;    // the MCP server it comes from; empty: built in
  bool changes = false;  // asks first
  std::function<bool(const Json& arguments)> only_reads;  // of a tool that changes: that this call does not; empty: every call may
  bool idempotent = false;  // of a tool that changes: doing it twice is as good as once, so a call that was cut off may be repeated
  Function execute;         // arguments are an object that passed check_arguments
  Function preview;         // of a tool that changes: says what execute would, and changes nothing; may be empty

  std::string_view name() const;
  // Whether this call may change something.
  bool changes_by(const Json& arguments) const { return changes && !(only_reads && only_reads(arguments)); }
};

// Tools in the order in which they were added, which is the order a model reads them in.
class ToolRegistry {
 public:
  // invalid_argument: no name, no execute, or a name that is already taken.
  Result<void> add(Tool tool);
  const Tool* find(std::string_view name) const;  // nullptr: no such tool
  std::vector<Json> definitions() const;
  std::vector<std::string> names() const;

  // Keeps only these tools, in the registry's order. not_found names the first that is not there.
  Result<void> restrict_to(const std::vector<std::string>& names);

  // The tools of this origin become these, where the old ones stood; what restrict_to keeps out stays out. False: the model is told the
  // same as before. invalid_argument, and nothing is changed: as add().
  Result<bool> replace(std::string_view origin, std::vector<Tool> tools);

 private:
  std::vector<Tool> tools_;
  std::optional<std::vector<std::string>> only_;  // of restrict_to
};

}  // namespace quern
