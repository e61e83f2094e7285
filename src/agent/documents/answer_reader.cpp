#include "agent/documents/answer_reader.h"

#include <algorithm>
#include <utility>

#include "base/json.h"
#include "base/utf8.h"

namespace quern {
namespace {

constexpr std::string_view kThinkEnd = "</think>";

}  // namespace

std::string AnswerReader::push(std::string_view text) {
  if (reasoning_) {
    think_tail_ += text;
    const size_t end = think_tail_.find(kThinkEnd);
    if (end == std::string::npos) {
      think_tail_.erase(0, think_tail_.size() - std::min(think_tail_.size(), kThinkEnd.size() - 1));
      return {};
    }
    reasoning_ = false;
    return push(std::string(think_tail_.substr(end + kThinkEnd.size())));
  }
  text_ += text;
  std::string out;
  for (const char c : text) read(c, out);
  answer_ += out;
  return out;
}

void AnswerReader::string_ends() {
  if (is_key_) {
    key_ = std::move(string_);
  } else if (depth_ >= 2 && key_ == "document") {
    quote_.document = std::move(string_);
  } else if (depth_ >= 2 && key_ == "text") {
    quote_.text = std::move(string_);
    quotes_.push_back(std::exchange(quote_, {}));
  }
  string_.clear();
  in_answer_ = false;
}

void AnswerReader::read(char c, std::string& out) {
  if (!in_string_) {
    if (c == '{' || c == '[') ++depth_;
    if (c == '}' || c == ']') --depth_;
    if (c == '{' && depth_ >= 2) ++quotes_begun_;
    if (c == '{' || c == ',') is_key_ = true;
    if (c == ':') is_key_ = false;
    if (c == '"') {
      in_string_ = true;
      in_answer_ = !is_key_ && depth_ == 1 && key_ == "answer";
    }
    return;
  }
  std::string& into = in_answer_ ? out : string_;
  if (escape_ == 1) {
    constexpr std::string_view kShort = "bfnrt", kMeans = "\b\f\n\r\t";
    escape_ = c == 'u' ? 2 : 0;
    unit_ = 0;
    if (c == 'u') return;
    const size_t at = kShort.find(c);
    into += at == std::string_view::npos ? c : kMeans[at];
  } else if (escape_ >= 2) {
    const size_t digit = std::string_view("0123456789abcdef").find(c >= 'A' && c <= 'F' ? static_cast<char>(c + 32) : c);
    unit_ = unit_ << 4 | static_cast<char32_t>(digit == std::string_view::npos ? 0 : digit);
    if (++escape_ < 6) return;
    escape_ = 0;
    if (unit_ >= 0xD800 && unit_ < 0xDC00) {
      high_ = unit_;
    } else if (unit_ >= 0xDC00 && unit_ < 0xE000) {
      append_utf8(into, high_ ? 0x10000 + ((high_ - 0xD800) << 10) + (unit_ - 0xDC00) : 0xFFFD);
      high_ = 0;
    } else {
      append_utf8(into, unit_);
    }
  } else if (c == '\\') {
    escape_ = 1;
  } else if (c == '"') {
    in_string_ = false;
    string_ends();
  } else {
    into += c;
  }
}

AnswerReader::Answer AnswerReader::finish() const {
  Answer out{.quotes = quotes_, .text = answer_, .complete = false};
  const auto document = Json::parse(text_, "answer");
  if (!document) return out;
  const Json *quotes = document->find("quotes"), *answer = document->find("answer");
  out.complete = quotes && quotes->is_array() && answer && answer->is_string();
  return out;
}

}  // namespace quern
