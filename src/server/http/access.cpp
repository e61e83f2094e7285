#include "server/http/access.h"

#include <openssl/crypto.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "base/digest.h"
#include "base/file.h"
#include "base/http/address.h"

namespace quern {
namespace {

constexpr size_t kMinKey = 16, kMaxKey = 512, kMaxName = 64;

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kMaxName && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '.';
  });
}

std::string_view trimmed(std::string_view text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

}  // namespace

Result<std::vector<ApiKey>> parse_api_keys(std::string_view text, std::string_view where) {
  std::vector<ApiKey> keys;
  std::set<std::string> names, digests;
  for (int number = 1; !text.empty(); ++number) {
    const std::string_view whole = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), whole.size() + 1));
    std::string_view key = trimmed(whole);
    if (key.empty() || key.starts_with('#')) continue;
    std::string name = fmt::format("key{}", keys.size() + 1);
    if (const size_t colon = key.find(':'); colon != std::string_view::npos) {
      name = key.substr(0, colon);
      key.remove_prefix(colon + 1);
      if (!is_name(name))
        return fail(Errc::malformed, "{}:{}: before the colon a name is expected, of letters, digits, - _ and .", where, number);
    }
    if (!std::all_of(key.begin(), key.end(), [](char c) { return c > 0x20 && c < 0x7F; }))
      return fail(Errc::malformed, "{}:{}: a key is of visible ASCII characters, without spaces", where, number);
    if (key.size() < kMinKey || key.size() > kMaxKey)
      return fail(Errc::malformed, "{}:{}: a key of {} characters; {} to {} are expected", where, number, key.size(), kMinKey,
                  kMaxKey);
    std::string digest = sha256_hex(key);
    if (!names.insert(name).second) return fail(Errc::malformed, "{}:{}: {}: two keys have this name", where, number, name);
    if (!digests.insert(digest).second) return fail(Errc::malformed, "{}:{}: the key is there twice", where, number);
    keys.push_back({std::move(name), std::move(digest)});
  }
  if (keys.empty()) return fail(Errc::malformed, "{}: no key in it", where);
  return keys;
}

Result<std::vector<ApiKey>> read_api_keys(const std::filesystem::path& file, std::string& warning) {
  QUERN_ASSIGN(const std::string text, read_file(file, 1 << 20));
  struct ::stat status{};
  if (::stat(file.c_str(), &status) == 0 && (status.st_mode & 077) != 0)
    warning = fmt::format("{}: others on this machine can read the keys; `chmod 600` closes it", file.string());
  return parse_api_keys(text, file.string());
}

std::string host_name(std::string_view host) {
  if (host.starts_with('[')) return lower(host.substr(1, std::min(host.find(']'), host.size()) - 1));
  if (std::count(host.begin(), host.end(), ':') == 1) host = host.substr(0, host.find(':'));
  if (host.ends_with('.')) host.remove_suffix(1);
  return lower(host);
}

AccessPolicy::AccessPolicy(AccessOptions options) : options_(std::move(options)) {
  for (std::string& host : options_.hosts) host = host_name(host);
  for (std::string& origin : options_.origins) {
    origin = lower(origin);
    while (origin.ends_with('/')) origin.pop_back();
  }
}

// A page of a foreign site whose name was made to lead here has that name in Host; the names that lead here rightly are known.
std::optional<Problem> AccessPolicy::judge_host(std::string_view host) const {
  if (host.empty()) return {};  // HTTP/1.0: no browser
  const std::string name = host_name(host);
  if (std::count(options_.hosts.begin(), options_.hosts.end(), name)) return {};
  if (options_.any_address && IpAddress::parse(name)) return {};
  return Problem{
      421, "unknown_host",
      fmt::format("this server does not answer to the name {} (--allowed-host adds one)", printable_line(name.substr(0, 100)))};
}

bool AccessPolicy::judge_origin(std::string_view origin, std::string_view host, Verdict& verdict) const {
  const std::string from = lower(origin);
  const bool any = std::count(options_.origins.begin(), options_.origins.end(), "*") > 0;
  if (any || std::count(options_.origins.begin(), options_.origins.end(), from)) {
    verdict.headers.emplace_back("access-control-allow-origin", any ? "*" : std::string(origin));
    verdict.headers.emplace_back("access-control-expose-headers", "x-request-id, retry-after");
    if (!any) verdict.headers.emplace_back("vary", "Origin");
    return true;
  }
  return from == "http://" + lower(host) || from == "https://" + lower(host);  // a page of this server
}

std::optional<std::string> AccessPolicy::key_name(const HttpHeaders& headers) const {
  std::string_view given;
  if (const std::string* field = headers.find("authorization")) {
    const std::string_view value = trimmed(*field);
    if (lower(value.substr(0, 7)) == "bearer ") given = trimmed(value.substr(7));
  }
  if (const std::string* field = headers.find("x-api-key"); field && given.empty()) given = trimmed(*field);
  const std::string digest = sha256_hex(given);
  const ApiKey* found = nullptr;
  for (const ApiKey& key : options_.keys)  // all of them, whichever it is
    if (CRYPTO_memcmp(digest.data(), key.digest.data(), digest.size()) == 0) found = &key;
  if (!found) return {};
  return found->name;
}

AccessPolicy::Verdict AccessPolicy::judge(std::string_view method, const HttpHeaders& headers, std::string_view host,
                                          bool open) const {
  Verdict verdict;
  verdict.problem = judge_host(host);
  if (verdict.problem) return verdict;
  const std::string* origin = headers.find("origin");
  if (origin && !judge_origin(*origin, host, verdict)) {
    verdict.problem = Problem{
        403, "origin_not_allowed",
        fmt::format("web pages of {} may not use this server (--cors allows them)", printable_line(origin->substr(0, 100)))};
    return verdict;
  }
  if (const std::string* wanted = headers.find("access-control-request-method"); wanted && origin && method == "OPTIONS") {
    verdict.preflight = true;  // browsers send no key with it
    verdict.headers.emplace_back("access-control-allow-methods", "GET, POST, PUT, PATCH, DELETE, OPTIONS");
    if (const std::string* names = headers.find("access-control-request-headers")) {
      std::string plain;
      for (const char c : names->substr(0, 1000))
        if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == ',' ||
            c == ' ')
          plain += c;
      verdict.headers.emplace_back("access-control-allow-headers", plain);
    }
    verdict.headers.emplace_back("access-control-max-age", "600");
    return verdict;
  }
  if (options_.keys.empty()) return verdict;
  if (auto name = key_name(headers)) {
    verdict.client = std::move(*name);
  } else if (!open) {
    const bool given = headers.find("authorization") || headers.find("x-api-key");
    verdict.headers.emplace_back("www-authenticate", "Bearer");
    verdict.problem = Problem{
        401, "invalid_api_key",
        given ? "the API key is not one of this server's" : "an API key is needed: Authorization: Bearer KEY, or x-api-key: KEY"};
  }
  return verdict;
}

}  // namespace quern
