#include "agent/report/call_line.h"

#include "text/display.h"

namespace quern {

std::string call_line(std::string_view name, const Json& arguments) {
  std::string line(name.empty() ? "(no call)" : name);
  const auto text = [](const Json& value) { return value.is_string() ? value.as_string() : value.dump(); };
  std::string_view separator = " ";
  if (arguments.is_object()) {
    for (const auto& [key, value] : arguments.as_object()) {
      line.append(separator).append(text(value));
      separator = " -> ";
    }
  } else if (!arguments.is_null()) {
    line.append(separator).append(text(arguments));
  }
  return visible_text(line, Lines::join);
}

}  // namespace quern
