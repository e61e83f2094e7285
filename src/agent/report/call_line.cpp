#include "agent/report/call_line.h"

#include "text/display.h"

namespace quern {

std::string call_line(std::string_view name, const Json& arguments) {
  std::string line(name.empty() ? "(no call)" : name);
  const auto text = [](const Json& value) { return value.is_string() ? value.as_string() : value.dump(); };
  if (const Json *from = arguments.find("from"), *to = arguments.find("to"); from && to && arguments.size() == 2) {
    line.append(" ").append(text(*from)).append(" -> ").append(text(*to));
  } else if (arguments.is_object()) {
    std::string_view separator = " ";
    for (const auto& [key, value] : arguments.as_object()) {
      line.append(separator);
      if (arguments.size() > 1) line.append(key).append(": ");
      line.append(text(value));
      separator = ", ";
    }
  } else if (!arguments.is_null()) {
    line.append(" ").append(text(arguments));
  }
  return visible_text(line, Lines::join);
}

}  // namespace quern
