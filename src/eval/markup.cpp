#include "eval/markup.h"

#include "base/utf8.h"

namespace quern {

std::string escaped(std::string_view text) {
  const auto reference = [](char c) -> std::string_view {
    return c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '"' ? "&quot;" : "";
  };
  std::string out;
  for (const char c : replace_invalid_utf8(text)) {
    out += reference(c);
    if (reference(c).empty()) out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;  // XML has no control characters
  }
  return out;
}

}  // namespace quern
