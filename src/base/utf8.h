// UTF-8, strictly as RFC 3629 has it: no surrogates, no overlong forms, nothing past U+10FFFF.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace quern {

// Offset of the first byte that does not belong to a valid sequence, or npos when text is valid throughout.
size_t find_invalid_utf8(std::string_view text);

// Length of the longest prefix that ends on a character boundary, given that more bytes may follow: an incomplete last sequence is
// left out, an invalid byte is not (it will never become valid).
size_t complete_utf8_prefix(std::string_view text);

// Each maximal invalid part replaced by U+FFFD, as Python's and Rust's lossy decoders do.
std::string replace_invalid_utf8(std::string_view text);

void append_utf8(std::string& out, char32_t code_point);

// The characters of valid text. Of anything else, something; nothing outside of it is read.
std::u32string code_points(std::string_view valid_text);

}  // namespace quern
