// Beast parses; what it lets through and should not is looked for here, in the raw head and in the parsed one. The only file of the server
// that includes Beast.
#include "server/http/request_parser.h"

#include <algorithm>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>

#include "base/check.h"
#include "base/utf8.h"

namespace quern {
namespace {

namespace http = boost::beast::http;
using Code = boost::system::error_code;

constexpr size_t kPart = 16 << 10;         // of a body, parsed at once
constexpr size_t kShortestEnd = 5;         // of a chunked body: "0\r\n\r\n"
constexpr size_t kMaxChunkHead = 4 << 10;  // a chunk's length with its extensions, or the trailer

bool is_token_char(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos);
}

bool same_text(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

int hex_value(char c) {
  return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

}  // namespace

bool decode_percent(std::string_view text, bool plus, std::string& out) {
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      const int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1, low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
      if (high < 0 || low < 0) return false;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    } else if (c == '+' && plus) {
      c = ' ';
    }
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return false;
    out += c;
  }
  return find_invalid_utf8(out) == std::string_view::npos;
}

struct RequestParser::Beast {
  http::request_parser<http::buffer_body> parser;
};

RequestParser::RequestParser(const RequestLimits& limits) : limits_(limits), beast_(std::make_unique<Beast>()) {
  beast_->parser.header_limit(static_cast<uint32_t>(std::min<size_t>(limits.header + 4, 16 << 20)));
  beast_->parser.body_limit(limits.body);
}
RequestParser::~RequestParser() = default;

void RequestParser::fail_with(int status, std::string message) {
  problem_ = {status, std::string(problem_code(status)), std::move(message)};
  state_ = State::failed;
}

size_t RequestParser::feed(std::string_view bytes) {
  switch (state_) {
    case State::nothing:
      if (bytes.empty()) return 0;
      state_ = State::head;
      [[fallthrough]];
    case State::head:
      return feed_head(bytes);
    case State::body:
      return feed_body(bytes);
    case State::complete:
    case State::failed:
      return 0;
  }
  return 0;
}

size_t RequestParser::feed_head(std::string_view bytes) {
  const size_t before = pending_.size();
  pending_ += bytes.substr(0, limits_.header + 4 - std::min(limits_.header + 4, before));
  // An empty line before a request is a habit of old clients (RFC 9112, section 2.2); it counts towards the limit.
  size_t start = 0;
  while (start < 4 && pending_.compare(start, 2, "\r\n") == 0) start += 2;
  const size_t end = pending_.find("\r\n\r\n", std::max(start, scanned_));
  if (end == std::string::npos) {
    for (size_t at = std::max(start, scanned_); (at = pending_.find('\n', at)) != std::string::npos; ++at)
      if (at == 0 || pending_[at - 1] != '\r') {
        fail_with(400, "a line feed without a carriage return in the header");
        return bytes.size();
      }
    scanned_ = pending_.size() - std::min<size_t>(pending_.size(), 3);
    const std::string_view line = std::string_view(pending_).substr(start);
    if (!line.empty() && line.front() != '\r' && !is_token_char(line.front())) {
      fail_with(400, line.front() == 0x16 ? "this is TLS, and the server speaks plain HTTP here" : "not HTTP");
    } else if (line.substr(0, limits_.target).find('\n') == std::string_view::npos && line.size() > limits_.target) {
      fail_with(414, fmt::format("a request line of more than {} bytes", limits_.target));
    } else if (pending_.size() > limits_.header) {
      fail_with(431, fmt::format("a header of more than {} bytes", limits_.header));
    }
    return bytes.size();
  }
  const size_t whole = end + 4;
  if (whole > limits_.header) {
    fail_with(431, fmt::format("a header of more than {} bytes", limits_.header));
    return bytes.size();
  }
  const std::string head = pending_.substr(start, whole - start);
  pending_.clear();
  if (check_raw_head(head) && parse_head(head)) state_ = beast_->parser.is_done() ? State::complete : State::body;
  return whole - before;
}

// What parsers differ about, found before any parser has seen it: line breaks that are none, folded lines, spaces around names.
bool RequestParser::check_raw_head(std::string_view head) {
  const auto bad = [&](std::string message) {
    fail_with(400, std::move(message));
    return false;
  };
  for (size_t i = 0; i < head.size(); ++i) {
    const char c = head[i];
    if (c == '\0') return bad("a zero byte in the header");
    if (c == '\n' && (i == 0 || head[i - 1] != '\r')) return bad("a line feed without a carriage return in the header");
    if (c == '\r' && (i + 1 == head.size() || head[i + 1] != '\n'))
      return bad("a carriage return without a line feed in the header");
  }
  const size_t first = head.find("\r\n");
  if (first > limits_.target) {
    fail_with(414, fmt::format("a request line of more than {} bytes", limits_.target));
    return false;
  }
  for (size_t at = first + 2; head.compare(at, 2, "\r\n") != 0;) {
    const std::string_view line = head.substr(at, head.find("\r\n", at) - at);
    if (line.front() == ' ' || line.front() == '\t') return bad("a folded header line");
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0) return bad("a header line without a name");
    if (!std::all_of(line.begin(), line.begin() + static_cast<ptrdiff_t>(colon), is_token_char))
      return bad("a header's name with a character that names do not have");
    at += line.size() + 2;
  }
  return true;
}

bool RequestParser::parse_head(std::string_view head) {
  auto& parser = beast_->parser;
  Code code;
  parser.eager(false);
  const size_t used = parser.put(boost::asio::buffer(head.data(), head.size()), code);
  if (code == http::error::body_limit) {
    fail_with(413, fmt::format("a body of more than {} bytes", limits_.body));
    return false;
  }
  const std::string_view line = head.substr(0, head.find('\r'));
  if (code == http::error::bad_version && std::count(line.begin(), line.end(), ' ') == 2) {
    fail_with(505, "HTTP/1.0 or HTTP/1.1 is expected");
    return false;
  }
  if (code || !parser.is_header_done() || used != head.size()) {
    fail_with(400, fmt::format("not HTTP: {}", code ? code.message() : "the header ends early"));
    return false;
  }
  const auto& message = parser.get();
  http10_ = message.version() == 10;
  keep_alive_ = parser.keep_alive();
  request_.method = std::string(message.method_string().data(), message.method_string().size());
  size_t fields = 0;
  for (const auto& field : message) {
    if (++fields > limits_.fields) {
      fail_with(431, fmt::format("more than {} headers", limits_.fields));
      return false;
    }
    request_.headers.add(std::string(field.name_string().data(), field.name_string().size()),
                         std::string(field.value().data(), field.value().size()));
  }
  return take_target({message.target().data(), message.target().size()}) && check_framing();
}

bool RequestParser::check_framing() {
  const auto bad = [&](int status, std::string message) {
    fail_with(status, std::move(message));
    return false;
  };
  const std::string* length = nullptr;
  const std::string* coding = nullptr;
  const std::string* host = nullptr;
  for (const auto& [name, value] : request_.headers.fields()) {
    for (const auto& [only, seen] : {std::pair<std::string_view, const std::string**>{"content-length", &length},
                                     {"transfer-encoding", &coding},
                                     {"host", &host}}) {
      if (!same_text(name, only)) continue;
      if (*seen) return bad(400, fmt::format("two headers {}", only));
      *seen = &value;
    }
    if (same_text(name, "expect")) {
      if (!same_text(value, "100-continue")) return bad(417, "an expectation other than 100-continue");
      expects_continue_ = !http10_;
    }
  }
  for (const char* only : {"authorization", "x-api-key", "origin"}) {
    const auto count = std::count_if(request_.headers.fields().begin(), request_.headers.fields().end(),
                                     [&](const auto& field) { return same_text(field.first, only); });
    if (count > 1) return bad(400, fmt::format("two headers {}", only));
  }
  if (length && coding) return bad(400, "both Content-Length and Transfer-Encoding");
  if (length && (length->empty() || length->size() > 18 ||
                 !std::all_of(length->begin(), length->end(), [](char c) { return c >= '0' && c <= '9'; })))
    return bad(400, "Content-Length is not one number");
  if (coding && http10_) return bad(400, "Transfer-Encoding in HTTP/1.0");
  if (coding && !same_text(*coding, "chunked")) return bad(501, "a Transfer-Encoding other than chunked");
  if (!host && !http10_) return bad(400, "no header Host");
  if (host && host_.empty()) host_ = *host;
  if (host_.find_first_of(" \t,/?#@\\") != std::string::npos) return bad(400, "Host is not a name with a port");
  return true;
}

// The path alone, or with scheme and host in front as proxies are asked; * for OPTIONS.
bool RequestParser::take_target(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (target.size() < scheme.size() || !same_text(target.substr(0, scheme.size()), scheme)) continue;
    target.remove_prefix(scheme.size());
    const size_t path = std::min(target.find_first_of("/?"), target.size());
    host_ = target.substr(0, path);
    target.remove_prefix(path);
    if (host_.empty()) break;
  }
  const size_t question = std::min(target.find('?'), target.size());
  const std::string_view path = target.substr(0, question);
  const bool everything = path == "*" && request_.method == "OPTIONS";
  if ((!path.starts_with('/') && !everything && !(path.empty() && !host_.empty())) || target.find('#') != std::string_view::npos ||
      !decode_percent(path.empty() ? "/" : path, false, request_.path) ||
      (question < target.size() && !take_query(target.substr(question + 1)))) {
    fail_with(400, "the request's target is not a path");
    return false;
  }
  return true;
}

bool RequestParser::take_query(std::string_view query) {
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    const size_t equals = std::min(pair.find('='), pair.size());
    std::string name, value;
    if (!decode_percent(pair.substr(0, equals), true, name) ||
        !decode_percent(equals < pair.size() ? pair.substr(equals + 1) : std::string_view(), true, value))
      return false;
    if (!name.empty()) request_.query.emplace(std::move(name), std::move(value));
  }
  return true;
}

size_t RequestParser::feed_body(std::string_view bytes) {
  auto& parser = beast_->parser;
  parser.eager(false);  // a chunk's header is a step of its own, so that its length can be looked at
  pending_ += bytes;
  std::array<char, kPart> part;
  size_t used = 0;
  while (!parser.is_done()) {
    // A body that begins with its last chunk: with a part of that, Beast's parser runs into an assertion of its own.
    const std::string_view next = std::string_view(pending_).substr(used);
    if (parser.chunked() && next.size() < kShortestEnd && next.starts_with('0')) break;
    auto& body = parser.get().body();
    body.data = part.data();
    body.size = part.size();
    body.more = true;
    Code code;
    const size_t taken = parser.put(boost::asio::buffer(pending_.data() + used, pending_.size() - used), code);
    used += taken;
    const size_t got = part.size() - body.size;
    if (got > limits_.body - std::min(limits_.body, request_.body.size())) code = http::error::body_limit;
    if (code == http::error::body_limit) {
      fail_with(413, fmt::format("a body of more than {} bytes", limits_.body));
      return bytes.size();
    }
    request_.body.append(part.data(), got);
    if (code && code != http::error::need_buffer && code != http::error::need_more) {
      fail_with(400, fmt::format("not HTTP: {}", code.message()));
      return bytes.size();
    }
    if (taken == 0 && got == 0) break;
    if (got == 0 && taken > kMaxChunkHead) {
      fail_with(400, "a chunk's header or a trailer that is too long");
      return bytes.size();
    }
  }
  pending_.erase(0, used);
  if (parser.is_done()) {
    const size_t left = pending_.size();
    pending_.clear();
    state_ = State::complete;
    return bytes.size() - std::min(left, bytes.size());
  }
  if (pending_.size() > kMaxChunkHead) fail_with(400, "a chunk's header or a trailer that is too long");
  return bytes.size();
}

}  // namespace quern
