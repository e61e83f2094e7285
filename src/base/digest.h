// SHA-256, for naming content: prompts in a journal, downloads.
#pragma once

#include <string>
#include <string_view>

namespace quern {

// 64 lower-case hexadecimal digits.
std::string sha256_hex(std::string_view bytes);

}  // namespace quern
