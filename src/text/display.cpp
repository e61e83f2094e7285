#include "text/display.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>

#include "base/utf8.h"

namespace quern {
namespace {

// Format characters that change the order of others, or that no font draws although they are read: bidirectional marks, embeddings and
// isolates, separators, tags.
bool hides_or_reorders(char32_t c) {
  return c == 0x061C || c == 0x200E || c == 0x200F || (c >= 0x2028 && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF ||
         (c >= 0xFFF9 && c <= 0xFFFB) || (c >= 0xE0000 && c <= 0xE0FFF);
}

void append_visible(std::string& out, char32_t c, Lines lines) {
  if (c == '\n' || c == '\t')
    out += lines == Lines::keep ? static_cast<char>(c) : ' ';
  else if (c < 0x20)
    append_utf8(out, 0x2400 + c);
  else if (c == 0x7F)
    append_utf8(out, 0x2421);
  else if ((c >= 0x80 && c < 0xA0) || hides_or_reorders(c))
    out += fmt::format("<U+{:04X}>", static_cast<uint32_t>(c));
  else
    append_utf8(out, c);
}

// The length of the escape sequence that begins at text[at], an ESC: CSI up to its final byte, OSC and its kin up to BEL or ST, else two
// bytes. One that is not ended reaches to the end of its line.
size_t sequence_length(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0; };
  const unsigned kind = byte(at + 1);
  size_t end = at + 2;
  if (kind == '[') {
    while (byte(end) >= 0x20 && byte(end) < 0x40) ++end;
    return std::min(text.size(), end + (byte(end) >= 0x40 && byte(end) < 0x7F ? 1 : 0)) - at;
  }
  if (kind == ']' || kind == 'P' || kind == '_' || kind == '^' || kind == 'X') {
    while (end < text.size() && text[end] != '\a' && text[end] != '\n' && text[end] != '\x1b') ++end;
    return std::min(text.size(), end + (byte(end) == '\a' ? 1 : byte(end) == 0x1B && byte(end + 1) == '\\' ? 2 : 0)) - at;
  }
  return std::min(text.size(), kind >= 0x20 && kind < 0x7F ? end : at + 1) - at;
}

size_t width_of(char32_t c) {
  if (c < 0x20 || (c >= 0x7F && c < 0xA0)) return 1;
  const int width = utf8proc_charwidth(static_cast<utf8proc_int32_t>(c));
  return width < 0 ? 1 : static_cast<size_t>(width);
}

}  // namespace

std::string visible_text(std::string_view text, Lines lines) {
  std::string out;
  out.reserve(text.size());
  const std::u32string characters = code_points(replace_invalid_utf8(text));
  for (size_t i = 0; i < characters.size(); ++i) {
    if (characters[i] == '\r' && i + 1 < characters.size() && characters[i + 1] == '\n') continue;
    append_visible(out, characters[i], lines);
  }
  return out;
}

std::string without_escape_sequences(std::string_view text) {
  std::string out;
  size_t line = 0;  // where the line being written began
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (c == '\x1b') {
      i += sequence_length(text, i);
      continue;
    }
    if (c == '\r' && i + 1 < text.size() && text[i + 1] != '\n' && text[i + 1] != '\r')
      out.resize(line);  // a progress bar: its last state counts
    else if (c != '\r')
      out += c;
    if (c == '\n') line = out.size();
    ++i;
  }
  return out;
}

size_t display_width(std::string_view text) {
  size_t width = 0;
  for (const char32_t c : code_points(replace_invalid_utf8(text))) width += width_of(c);
  return width;
}

std::string cut_to_width(std::string_view text, size_t columns) {
  if (display_width(text) <= columns) return replace_invalid_utf8(text);
  if (columns == 0) return {};
  std::string out;
  size_t width = 0;
  for (const char32_t c : code_points(replace_invalid_utf8(text))) {
    width += width_of(c);
    if (width > columns - 1) break;
    append_utf8(out, c);
  }
  return out + "…";
}

std::string padded_to_width(std::string_view text, size_t columns) {
  std::string out = cut_to_width(text, columns);
  out.append(columns - std::min(columns, display_width(out)), ' ');
  return out;
}

}  // namespace quern
