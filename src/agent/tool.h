// A tool as the agent loop sees it: what a model is told about it, whether it changes anything, and what carries it out. Where a tool
// comes from (the file tools, another program) is nobody's business here: it is added to the registry like any other.
#pragma once

#include <functional>
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

struct Tool {
  using Function = std::function<ToolResult(const Json& arguments)>;

  Json definition;       // the whole object {"type": "function", "function": {"name": …, "parameters": …}}
  bool changes = false;  // asks first
  Function execute;      // arguments are an object that passed check_arguments
  Function preview;      // of a tool that changes: says what execute would, and changes nothing; may be empty

  std::string_view name() const;
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

 private:
  std::vector<Tool> tools_;
};

}  // namespace quern
