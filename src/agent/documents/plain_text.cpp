#include "agent/documents/plain_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "base/utf8.h"

namespace quern {
namespace {

constexpr size_t kProbe = 8192;  // bytes that decide whether a file is text

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
std::string lowered(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}

bool is_utf16(std::string_view bytes) { return bytes.starts_with("\xFF\xFE") || bytes.starts_with("\xFE\xFF"); }

std::string from_utf16(std::string_view bytes) {
  const bool little = bytes.starts_with("\xFF\xFE");
  const auto unit = [&](size_t i) {
    const auto a = static_cast<unsigned char>(bytes[i]), b = static_cast<unsigned char>(bytes[i + 1]);
    return static_cast<char32_t>(little ? b << 8 | a : a << 8 | b);
  };
  std::string out;
  for (size_t i = 2; i + 1 < bytes.size(); i += 2) {
    char32_t c = unit(i);
    if (c >= 0xD800 && c < 0xDC00 && i + 3 < bytes.size() && unit(i + 2) >= 0xDC00 && unit(i + 2) < 0xE000) {
      c = 0x10000 + ((c - 0xD800) << 10) + (unit(i + 2) - 0xDC00);
      i += 2;
    }
    append_utf8(out, c >= 0xD800 && c < 0xE000 ? 0xFFFD : c);
  }
  return out;
}

size_t count_of(std::string_view text, std::string_view part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + part.size())) ++n;
  return n;
}

}  // namespace

int32_t PlainText::line_at(size_t offset) const {
  const auto here = text.begin() + static_cast<std::ptrdiff_t>(std::min(offset, text.size()));
  const auto line = static_cast<size_t>(std::count(text.begin(), here, '\n'));
  if (lines.empty()) return static_cast<int32_t>(line + 1);
  return lines[std::min(line, lines.size() - 1)];
}

TextKind text_kind(std::string_view name, std::string_view bytes) {
  const std::string low = lowered(name);
  if (bytes.starts_with("%PDF-")) return TextKind::pdf;
  if (is_utf16(bytes)) return TextKind::text;
  const std::string_view probe = bytes.substr(0, kProbe);
  size_t odd = 0;
  for (const char c : probe)
    if (const auto u = static_cast<unsigned char>(c); u < 0x20 && (u < 9 || u > 13) && u != 0x1B) odd += u == 0 ? probe.size() : 1;
  for (std::string_view rest = probe; (rest.size() > 3 || rest.size() == bytes.size()) && odd * 10 <= probe.size();) {
    const size_t bad = find_invalid_utf8(rest);
    if (bad == std::string_view::npos || (bad + 4 > rest.size() && probe.size() < bytes.size())) break;
    ++odd;
    rest.remove_prefix(bad + 1);
  }
  if (odd * 10 > probe.size()) return TextKind::binary;
  for (const std::string_view ending : {".html", ".htm", ".xhtml"})
    if (low.ends_with(ending)) return TextKind::html;
  return TextKind::text;
}

PlainText plain_text(std::string_view bytes) {
  const std::string decoded = is_utf16(bytes) ? from_utf16(bytes) : std::string();
  if (is_utf16(bytes)) bytes = decoded;
  if (bytes.starts_with("\xEF\xBB\xBF")) bytes.remove_prefix(3);
  PlainText out;
  constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
  out.text = replace_invalid_utf8(bytes);
  std::string clean;
  clean.reserve(out.text.size());
  for (size_t i = 0; i < out.text.size(); ++i) {
    const char c = out.text[i];
    if (c == '\r') {
      if (i + 1 == out.text.size() || out.text[i + 1] != '\n') clean += '\n';
    } else if (c == '\0') {
      clean += kReplacement;
    } else {
      clean += c;
    }
  }
  out.text = std::move(clean);
  out.replaced = count_of(out.text, kReplacement) - count_of(bytes, kReplacement);
  return out;
}

namespace {

constexpr std::array<std::string_view, 31> kBlocks = {
    "address", "article", "aside", "blockquote", "body", "br",      "dd",    "div", "dl",     "dt", "figure",
    "footer",  "form",    "h1",    "h2",         "h3",   "h4",      "h5",    "h6",  "header", "hr", "li",
    "main",    "nav",     "ol",    "p",          "pre",  "section", "table", "tr",  "ul",
};
constexpr std::array<std::string_view, 6> kUnseen = {"script", "style", "template", "noscript", "svg", "textarea"};

std::optional<char32_t> entity(std::string_view name) {
  if (name.starts_with('#')) {
    const bool hex = name.size() > 1 && (name[1] == 'x' || name[1] == 'X');
    const std::string_view digits = name.substr(hex ? 2 : 1);
    uint32_t value = 0;
    const auto [end, status] = std::from_chars(digits.data(), digits.data() + digits.size(), value, hex ? 16 : 10);
    if (status != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    if (value == 0 || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) return 0xFFFD;
    return static_cast<char32_t>(value);
  }
  constexpr std::pair<std::string_view, char32_t> kNamed[] = {
      {"amp", '&'},      {"lt", '<'},       {"gt", '>'},        {"quot", '"'},     {"apos", '\''},    {"nbsp", ' '},
      {"ndash", 0x2013}, {"mdash", 0x2014}, {"hellip", 0x2026}, {"lsquo", 0x2018}, {"rsquo", 0x2019}, {"ldquo", 0x201C},
      {"rdquo", 0x201D}, {"laquo", 0xAB},   {"raquo", 0xBB},    {"auml", 0xE4},    {"ouml", 0xF6},    {"uuml", 0xFC},
      {"Auml", 0xC4},    {"Ouml", 0xD6},    {"Uuml", 0xDC},     {"szlig", 0xDF},   {"eacute", 0xE9},  {"egrave", 0xE8},
      {"agrave", 0xE0},  {"ccedil", 0xE7},  {"copy", 0xA9},     {"reg", 0xAE},     {"trade", 0x2122}, {"deg", 0xB0},
      {"times", 0xD7},   {"middot", 0xB7},  {"bull", 0x2022},   {"euro", 0x20AC},  {"sect", 0xA7},    {"para", 0xB6},
      {"rarr", 0x2192},  {"larr", 0x2190},  {"shy", 0xAD},      {"zwnj", 0x200C},
  };
  for (const auto& [known, value] : kNamed)
    if (name == known) return value;
  return std::nullopt;
}

class HtmlReader {
  static constexpr size_t kLongestTag = size_t{1} << 16;  // in which quotes are minded

 public:
  explicit HtmlReader(std::string_view html) : html_(html) {}

  PlainText read() && {
    while (at_ < html_.size()) {
      const char c = html_[at_];
      if (c == '<' && tag()) continue;
      if (c == '&' && reference()) continue;
      if (c == '\n') ++line_;
      if (c == ' ' || c == '\t' || c == '\n') {
        space(c);
      } else {
        put(html_.substr(at_, 1));
      }
      ++at_;
    }
    if (!out_.text.empty()) out_.text += '\n';
    return std::move(out_);
  }

 private:
  void put(std::string_view text) {
    if (out_.lines.empty()) {
      out_.lines.push_back(line_);
    } else if (breaks_ > 0) {
      for (; breaks_ > 0; --breaks_) {
        out_.text += '\n';
        out_.lines.push_back(line_);
      }
    } else if (space_) {
      out_.text += ' ';
    }
    breaks_ = 0, space_ = false;
    out_.text += text;
  }
  void space(char c) {
    if (preformatted_ == 0) {
      space_ = true;
    } else if (c == '\n') {
      breaks_ = std::min(breaks_ + 1, 2);
    } else {
      if (breaks_ == 0 && !out_.text.empty())
        put(std::string_view(&c, 1));
      else
        put(" ");
    }
  }
  void skip_to(size_t end) {
    line_ += static_cast<int32_t>(
        std::count(html_.begin() + static_cast<std::ptrdiff_t>(at_), html_.begin() + static_cast<std::ptrdiff_t>(end), '\n'));
    at_ = end;
  }
  static bool name_byte(char c) { return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == ':'; }

  // A comment, a declaration or a tag, and what an unseen element holds. False: a '<' that is text.
  bool tag() {
    if (html_.substr(at_).starts_with("<!--")) {
      const size_t end = html_.find("-->", at_ + 4);
      skip_to(end == std::string_view::npos ? html_.size() : end + 3);
      return true;
    }
    if (!closable_) return false;
    size_t name = at_ + 1;
    const bool closing = name < html_.size() && html_[name] == '/';
    name += closing ? 1 : 0;
    if (name >= html_.size() ||
        (html_[name] != '!' && html_[name] != '?' && !(lower(html_[name]) >= 'a' && lower(html_[name]) <= 'z')))
      return false;
    size_t end = name;
    while (end < html_.size() && name_byte(html_[end])) ++end;
    const std::string element = lowered(html_.substr(name, end - name));
    const size_t limit = std::min(html_.size(), end + kLongestTag);
    for (char quote = 0; end < limit && (quote != 0 || html_[end] != '>'); ++end) {
      if (quote == 0 && (html_[end] == '"' || html_[end] == '\''))
        quote = html_[end];
      else if (html_[end] == quote)
        quote = 0;
    }
    if (end == limit) {  // never closed, or a stray quote: take the nearest '>'
      end = html_.find('>', at_);
      closable_ = end != std::string_view::npos;
      if (!closable_) return false;
    }
    skip_to(end + 1);
    if (!closing && std::find(kUnseen.begin(), kUnseen.end(), element) != kUnseen.end()) skip_element(element);
    if (element == "pre") preformatted_ = std::max(0, preformatted_ + (closing ? -1 : 1));
    if (element == "td" || element == "th") space_ = true;
    if (element == "title" && closing) breaks_ = 2;
    if (std::find(kBlocks.begin(), kBlocks.end(), element) != kBlocks.end() && !out_.text.empty())
      breaks_ = std::min(2, std::max(breaks_, element == "br" || element == "li" || element == "tr" ? breaks_ + 1 : 2));
    return true;
  }
  void skip_element(const std::string& element) {
    for (size_t from = at_;;) {
      const size_t close = html_.find("</", from);
      if (close == std::string_view::npos) return;  // never closed: its content is shown rather than lost
      if (lowered(html_.substr(close + 2, element.size())) == element) {
        const size_t end = html_.find('>', close);
        return skip_to(end == std::string_view::npos ? html_.size() : end + 1);
      }
      from = close + 2;
    }
  }
  bool reference() {
    const size_t end = html_.substr(0, at_ + 12).find(';', at_);
    if (end == std::string_view::npos) return false;
    const auto c = entity(html_.substr(at_ + 1, end - at_ - 1));
    if (!c) return false;
    std::string text;
    append_utf8(text, *c);
    if (*c == ' ' || *c == '\n' || *c == '\t')
      space(' ');
    else
      put(text);
    at_ = end + 1;
    return true;
  }

  std::string_view html_;
  PlainText out_;
  size_t at_ = 0;
  int32_t line_ = 1;
  int breaks_ = 0, preformatted_ = 0;  // line breaks wanted before what comes
  bool space_ = false;
  bool closable_ = true;  // there is a '>' further on
};

}  // namespace

PlainText html_text(std::string_view bytes) {
  const PlainText source = plain_text(bytes);
  PlainText out = HtmlReader(source.text).read();
  out.replaced = source.replaced;
  return out;
}

PlainText pdf_pages(std::string_view text) {
  PlainText out = plain_text(text);
  out.pages = true;
  std::string pages;
  int32_t page = 1;
  bool line_begins = true;
  for (const char c : out.text) {
    if (c == '\f') {
      ++page;
      if (!line_begins) pages += '\n', line_begins = true;
      continue;
    }
    if (line_begins) out.lines.push_back(page);
    pages += c;
    line_begins = c == '\n';
  }
  out.text = std::move(pages);
  return out;
}

}  // namespace quern
