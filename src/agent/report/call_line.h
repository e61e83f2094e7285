// A call on one line, for people: "move_file a.txt -> texts/a.txt".
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"

namespace quern {

// The arguments' values, " -> " between them; text that could not be read as a call is shown as it is. Nothing in it is obeyed by a
// terminal (text/display.h); it may be long.
std::string call_line(std::string_view name, const Json& arguments);

}  // namespace quern
