#include "base/utf8.h"

namespace quern {
namespace {

// How a sequence that starts at text[0] goes on: length > 0 is a valid character; otherwise `bad` bytes form one maximal invalid
// part, and `truncated` says that the text ended inside a sequence that was valid so far.
struct Sequence {
  size_t length = 0;
  size_t bad = 0;
  bool truncated = false;
};

Sequence classify(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return {.length = 1};
  size_t length = 0;
  unsigned char low = 0x80, high = 0xBF;  // bounds of the second byte: they exclude overlong forms, surrogates and > U+10FFFF
  if (first >= 0xC2 && first <= 0xDF)
    length = 2;
  else if (first >= 0xE0 && first <= 0xEF) {
    length = 3;
    if (first == 0xE0) low = 0xA0;
    if (first == 0xED) high = 0x9F;
  } else if (first >= 0xF0 && first <= 0xF4) {
    length = 4;
    if (first == 0xF0) low = 0x90;
    if (first == 0xF4) high = 0x8F;
  } else
    return {.bad = 1};
  for (size_t i = 1; i < length; ++i) {
    if (i == text.size()) return {.bad = i, .truncated = true};
    if (byte(i) < low || byte(i) > high) return {.bad = i};
    low = 0x80, high = 0xBF;
  }
  return {.length = length};
}

}  // namespace

size_t find_invalid_utf8(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const Sequence s = classify(text.substr(at));
    if (s.length == 0) return at;
    at += s.length;
  }
  return std::string_view::npos;
}

size_t complete_utf8_prefix(std::string_view text) {
  const size_t tail = text.size() < 3 ? text.size() : 3;  // a sequence cut short is at most three bytes long
  for (size_t back = tail; back > 0; --back) {
    const size_t at = text.size() - back;
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte < 0xC0) continue;
    const Sequence s = classify(text.substr(at));
    if (s.truncated && s.bad == back) return at;
  }
  return text.size();
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  size_t at = 0;
  while (at < text.size()) {
    const Sequence s = classify(text.substr(at));
    if (s.length > 0)
      out.append(text.substr(at, s.length));
    else
      out += "\xEF\xBF\xBD";
    at += s.length > 0 ? s.length : s.bad;
  }
  return out;
}

std::u32string code_points(std::string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const auto first = static_cast<unsigned char>(text[i]);
    const size_t length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    char32_t c = length == 1 ? first : first & (0x7Fu >> length);
    for (size_t k = 1; k < length && i + k < text.size(); ++k) c = (c << 6) | (static_cast<unsigned char>(text[i + k]) & 0x3Fu);
    out.push_back(c);
    i += length;
  }
  return out;
}

void append_utf8(std::string& out, char32_t c) {
  const auto put = [&](char32_t byte) { out += static_cast<char>(static_cast<unsigned char>(byte)); };
  if (c < 0x80)
    put(c);
  else if (c < 0x800)
    put(0xC0 | c >> 6), put(0x80 | (c & 0x3F));
  else if (c < 0x10000)
    put(0xE0 | c >> 12), put(0x80 | (c >> 6 & 0x3F)), put(0x80 | (c & 0x3F));
  else
    put(0xF0 | c >> 18), put(0x80 | (c >> 12 & 0x3F)), put(0x80 | (c >> 6 & 0x3F)), put(0x80 | (c & 0x3F));
}

}  // namespace quern
