#include "base/http/client.h"

#include <algorithm>

#include "base/clock.h"
#include "base/http/exchange.h"

namespace quern {
namespace {

bool same_text(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

bool one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::any_of(names.begin(), names.end(), [&](std::string_view each) { return same_text(name, each); });
}

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

Result<void> check_request(const HttpRequest& request) {
  if (!is_token(request.method)) return fail(Errc::invalid_argument, "HTTP method {}: expected one word", request.method);
  for (const auto& [name, value] : request.headers.fields()) {
    if (!is_token(name)) return fail(Errc::invalid_argument, "HTTP header {}: that is no name of a header", name);
    if (one_of(name, {"host", "connection", "content-length", "transfer-encoding", "accept-encoding", "te", "upgrade", "expect"}))
      return fail(Errc::invalid_argument, "HTTP header {}: the client sets it itself", name);
    for (const char c : value)
      if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7F)
        return fail(Errc::invalid_argument, "HTTP header {}: a control character in its value", name);
  }
  return {};
}

// What the next request of a chain of redirects is.
struct Hop {
  Url url;
  std::string_view method, body;
  HttpHeaders headers;
};

bool is_redirect(const HttpResponse& response) {
  return one_of(std::to_string(response.status), {"301", "302", "303", "307", "308"}) && response.headers.find("location");
}

Result<void> follow(Hop& hop, const HttpResponse& response) {
  const auto next = resolve_url(hop.url, *response.headers.find("location"));
  if (!next) return with_context(next.error(), fmt::format("{}: redirect", hop.url.authority()));
  if (hop.url.is_https() && !next->is_https())
    return fail(Errc::denied, "{}: a redirect from https to {} is not followed", hop.url.authority(), next->origin());
  const bool keeps_method = response.status == 307 || response.status == 308 || one_of(hop.method, {"GET", "HEAD"});
  const bool same_origin = next->origin() == hop.url.origin();
  if (keeps_method && !same_origin && !one_of(hop.method, {"GET", "HEAD"}))
    return fail(Errc::denied, "{}: a redirect of {} to {} is not followed: its body is not for another host", hop.url.authority(),
                hop.method, next->origin());
  HttpHeaders kept;
  for (const auto& [name, value] : hop.headers.fields()) {
    if (!keeps_method && one_of(name, {"content-type"})) continue;
    if (same_origin || one_of(name, {"accept", "accept-language", "user-agent", "range", "if-range"})) kept.add(name, value);
  }
  hop.headers = std::move(kept);
  if (!keeps_method) {
    hop.method = "GET";
    hop.body = {};
  }
  hop.url = *next;
  return {};
}

}  // namespace

const std::string* HttpHeaders::find(std::string_view name) const {
  const auto found = std::find_if(fields_.begin(), fields_.end(), [&](const auto& field) { return same_text(field.first, name); });
  return found == fields_.end() ? nullptr : &found->second;
}

std::string HttpResponse::media_type() const {
  const std::string* field = headers.find("content-type");
  if (!field) return "";
  std::string type = field->substr(0, field->find(';'));
  type.erase(type.find_last_not_of(" \t") + 1);
  type.erase(0, std::min(type.find_first_not_of(" \t"), type.size()));
  std::transform(type.begin(), type.end(), type.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return type;
}

Result<HttpResponse> http_send(const HttpRequest& request) {
  QUERN_TRY(check_request(request));
  QUERN_ASSIGN(Url url, parse_url(request.url));
  std::optional<Clock::time_point> deadline;
  if (request.timeout_s > 0)
    deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(request.timeout_s));
  Hop hop{std::move(url), request.method, request.body, request.headers};
  for (int redirects = 0;; ++redirects) {
    bool redirected = false;
    const auto on_head = [&](const HttpResponse& head) {
      redirected = request.max_redirects > 0 && is_redirect(head);
      return !redirected && (!request.on_head || request.on_head(head));
    };
    QUERN_ASSIGN(HttpResponse response, http_exchange({request, hop.url, hop.method, hop.body, hop.headers, deadline, on_head}));
    if (!redirected) return response;
    if (redirects == request.max_redirects)
      return fail(Errc::out_of_range, "{}: more than {} redirects, the last to {}", url.authority(), request.max_redirects,
                  *response.headers.find("location"));
    QUERN_TRY(follow(hop, response));
  }
}

}  // namespace quern
