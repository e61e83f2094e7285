// Text inside SVG and HTML.
#pragma once

#include <string>
#include <string_view>

namespace quern {

// Valid UTF-8 without control characters, with what markup means something by as references.
std::string escaped(std::string_view text);

}  // namespace quern
