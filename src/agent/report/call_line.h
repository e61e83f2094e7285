// A call on one line, for people: "move_file a.txt -> texts/a.txt".
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"

namespace quern {

// "from -> to", the one argument's value, or several with their names: "write_file path: a.txt, text: hello"; text that could not be read as a call is shown as it is. Nothing in it is obeyed by a
// terminal (text/display.h); it may be long.
std::string call_line(std::string_view name, const Json& arguments);

}  // namespace quern
