#include "base/http/url.h"

#include <algorithm>
#include <charconv>

#include "base/http/address.h"

namespace quern {
namespace {

constexpr size_t kMaxUrl = 8 << 10;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
bool is_alnum(char c) { return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z'); }

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) { return lower(c); });
  return out;
}

std::string_view shown(std::string_view text) { return text.substr(0, 200); }

Result<void> check_characters(std::string_view text) {
  if (text.size() > kMaxUrl) return fail(Errc::out_of_range, "URL: {} bytes, at most {} are taken", text.size(), kMaxUrl);
  for (const char c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return fail(Errc::malformed, "URL {}: a control character", shown(text));
  return {};
}

// What may stand in a request line stays, the rest is written as %XX. A backslash too: some readers take it for a slash.
std::string encode_target(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool kept = static_cast<unsigned char>(c) > 0x20 && static_cast<unsigned char>(c) < 0x7F &&
                      std::string_view("\"<>\\^`{|}").find(c) == std::string_view::npos;
    if (kept)
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned>(static_cast<unsigned char>(c)));
  }
  return out;
}

Result<void> check_host(std::string_view host, std::string_view whole) {
  if (host.empty() || host.size() > 253) return fail(Errc::malformed, "URL {}: expected a host name", shown(whole));
  for (const char c : host) {
    if (static_cast<unsigned char>(c) >= 0x80)
      return fail(Errc::unsupported, "URL {}: a host name outside ASCII (write it as xn--…)", shown(whole));
    if (!is_alnum(c) && c != '-' && c != '.' && c != '_')
      return fail(Errc::malformed, "URL {}: the host name holds {}", shown(whole), c);
  }
  return {};
}

// "host", "host:port" or "[v6]:port" into url.
Result<void> parse_authority(std::string_view text, std::string_view whole, Url& url) {
  if (text.find('@') != std::string_view::npos)
    return fail(Errc::unsupported, "URL {}: a user name in it (use a header instead)", url.scheme + "://…");
  std::string_view host = text, port;
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == std::string_view::npos) return fail(Errc::malformed, "URL {}: [ without ]", shown(whole));
    host = text.substr(1, end - 1);
    port = text.substr(end + 1);
    const auto address = IpAddress::parse(host);
    if (!address || !address->v6) return fail(Errc::malformed, "URL {}: expected an IPv6 address in brackets", shown(whole));
    url.host = address->to_string();
  } else {
    const size_t colon = text.find(':');
    if (colon != std::string_view::npos) {
      host = text.substr(0, colon);
      port = text.substr(colon);
    }
    QUERN_TRY(check_host(host, whole));
    url.host = lower(host);
  }
  url.port = url.is_https() ? 443 : 80;
  if (port.empty() || port == ":") return {};
  const char* end = port.data() + port.size();
  const auto [stop, error] = std::from_chars(port.data() + 1, end, url.port);
  if (!port.starts_with(':') || error != std::errc() || stop != end || url.port == 0)
    return fail(Errc::malformed, "URL {}: expected a port from 1 to 65535", shown(whole));
  return {};
}

// RFC 3986, 5.2.4.
std::string remove_dots(std::string_view path) {
  std::string out;
  while (!path.empty()) {
    const size_t end = std::min(path.find('/', 1), path.size());
    const std::string_view segment = path.substr(0, end);  // "/name"
    const bool last = end == path.size();
    if (segment == "/.." || segment == "/.") {
      if (segment == "/..") out.erase(std::min(out.rfind('/'), out.size()));
      if (last) out += '/';
    } else {
      out += segment;
    }
    path.remove_prefix(end);
  }
  return out.empty() ? "/" : out;
}

void set_target(Url& url, std::string_view path_and_query) {
  const size_t query = std::min(path_and_query.find('?'), path_and_query.size());
  url.target = remove_dots(encode_target(path_and_query.substr(0, query))) + encode_target(path_and_query.substr(query));
}

std::string_view without_fragment(std::string_view text) { return text.substr(0, text.find('#')); }

// The length of "scheme" in "scheme:rest", 0 without one.
size_t scheme_length(std::string_view text) {
  size_t at = 0;
  while (at < text.size() && (is_alnum(text[at]) || text[at] == '+' || text[at] == '-' || text[at] == '.')) ++at;
  return at > 0 && at < text.size() && text[at] == ':' && !(text[0] >= '0' && text[0] <= '9') ? at : 0;
}

}  // namespace

std::string Url::authority() const {
  const bool literal = host.find(':') != std::string::npos;
  std::string out = literal ? "[" + host + "]" : host;
  if (port != (is_https() ? 443 : 80)) out += fmt::format(":{}", port);
  return out;
}
std::string Url::origin() const { return scheme + "://" + authority(); }
std::string Url::to_string() const { return origin() + target; }

Result<Url> parse_url(std::string_view text) {
  QUERN_TRY(check_characters(text));
  const size_t scheme = scheme_length(text);
  Url url;
  url.scheme = lower(text.substr(0, scheme));
  if (url.scheme != "http" && url.scheme != "https") {
    if (scheme > 0 && text.substr(scheme).starts_with("://"))
      return fail(Errc::unsupported, "URL {}: only http and https are spoken", shown(text));
    return fail(Errc::malformed, "URL {}: expected http://… or https://…", shown(text));
  }
  std::string_view rest = text.substr(scheme + 1);
  if (!rest.starts_with("//")) return fail(Errc::malformed, "URL {}: expected // behind the scheme", shown(text));
  rest = without_fragment(rest.substr(2));
  const size_t path = std::min(rest.find_first_of("/?\\"), rest.size());
  QUERN_TRY(parse_authority(rest.substr(0, path), text, url));
  const std::string_view target = rest.substr(path);
  set_target(url, target.starts_with('/') ? std::string(target) : "/" + std::string(target));
  return url;
}

Result<Url> resolve_url(const Url& base, std::string_view reference) {
  QUERN_TRY(check_characters(reference));
  if (scheme_length(reference) > 0) return parse_url(reference);
  if (reference.starts_with("//")) return parse_url(base.scheme + ":" + std::string(reference));
  reference = without_fragment(reference);
  Url url = base;
  if (reference.empty()) return url;
  const std::string_view path = std::string_view(base.target).substr(0, base.target.find('?'));
  if (reference.starts_with('/'))
    set_target(url, reference);
  else if (reference.starts_with('?'))
    set_target(url, std::string(path) + std::string(reference));
  else
    set_target(url, std::string(path.substr(0, path.rfind('/') + 1)) + std::string(reference));
  return url;
}

}  // namespace quern
