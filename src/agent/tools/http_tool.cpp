#include "agent/tools/http_tool.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>

#include "agent/tools/tool_results.h"
#include "base/utf8.h"

namespace quern {
namespace {

constexpr size_t kMostRequest = 1 << 20;
constexpr size_t kMostShown = 64 << 10;  // of an answer's body
constexpr int kMostRedirects = 5;
constexpr size_t kMostHeaders = 50;

enum class Access { none, public_only, any };  // to which addresses

// One entry of the list.
struct AllowedHost {
  std::string host;  // lower case; behind the "*." where below is set; empty: all
  bool below = false;
  std::optional<uint16_t> port;

  static Result<AllowedHost> parse(const std::string& text) {
    if (text == "*") return AllowedHost{.host = "", .below = true, .port = {}};
    const bool below = text.starts_with("*.");
    const auto url = parse_url("http://" + (below ? text.substr(2) : text));
    if (!url || url->target != "/" || text.ends_with('/') || text.find('*', below ? 1 : 0) != std::string::npos)
      return fail(Errc::invalid_argument, "allowed host {:?}: expected HOST, HOST:PORT, *.DOMAIN or *", text);
    const bool has_port = text.ends_with(fmt::format(":{}", url->port));
    return AllowedHost{.host = url->host, .below = below, .port = has_port ? std::optional(url->port) : std::nullopt};
  }

  Access access(const Url& url) const {
    if (port && *port != url.port) return Access::none;
    if (!below) return url.host == host ? Access::any : Access::none;
    if (host.empty()) return Access::public_only;
    return url.host.size() > host.size() + 1 && url.host.ends_with("." + host) ? Access::public_only : Access::none;
  }
};

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

bool is_redirect(int status) { return status == 301 || status == 302 || status == 303 || status == 307 || status == 308; }

class HttpTool {
 public:
  explicit HttpTool(HttpToolOptions options) : options_(std::move(options)) {}

  Result<void> set_hosts() {
    for (const std::string& text : options_.allowed_hosts) {
      QUERN_ASSIGN(AllowedHost host, AllowedHost::parse(text));
      hosts_.push_back(std::move(host));
    }
    return {};
  }

  // Nobody is asked about looking at what the list names; "*" names nothing.
  bool only_reads(const Json& arguments) const {
    const std::string method = text_argument(arguments, "method", "GET");
    const auto url = parse_url(text_argument(arguments, "url"));
    return (method == "GET" || method == "HEAD") && url && (is_named(*url) || access(*url) == Access::none);
  }

  ToolResult run(const Json& arguments, const CallContext& context) const {
    auto request = made_from(arguments);
    if (!request) return tool_error(request.error().message);
    const bool unasked = only_reads(arguments);
    request->cancelled = context.cancelled;
    const auto start = std::chrono::steady_clock::now();
    for (int hops = 0;; ++hops) {
      const double spent = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      if (spent >= options_.timeout_s) return tool_error(fmt::format("no answer within {} s", options_.timeout_s));
      request->timeout_s = options_.timeout_s - spent;
      const auto response = send(*request);
      if (!response) return tool_error(response.error().message);
      const std::string* location = response->headers.find("Location");
      if (!is_redirect(response->status) || !location) return shown(*response);
      if (hops == kMostRedirects) return tool_error(fmt::format("more than {} redirects", kMostRedirects));
      if (const auto next = follow(*request, *location, response->status); !next) return tool_error(next.error().message);
      if (const auto to = parse_url(request->url); unasked && to && access(*to) != Access::none && !is_named(*to))
        return tool_error(fmt::format("it redirects to {}, which has to be asked for by itself", printable_name(request->url)));
    }
  }

  ToolResult preview(const Json& arguments) const {
    const auto request = made_from(arguments);
    if (!request) return tool_error(request.error().message);
    const auto url = parse_url(request->url);
    if (access(url.value()) == Access::none) return tool_error(not_allowed(url.value()));
    return tool_done(fmt::format("would send {} {} with {} bytes", request->method, request->url, request->body.size()));
  }

 private:
  Access access(const Url& url) const {
    Access best = Access::none;
    for (const AllowedHost& host : hosts_) best = std::max(best, host.access(url));
    return best;
  }

  bool is_named(const Url& url) const {
    return std::any_of(hosts_.begin(), hosts_.end(),
                       [&](const AllowedHost& host) { return !host.host.empty() && host.access(url) != Access::none; });
  }

  std::string not_allowed(const Url& url) const {
    if (hosts_.empty()) return fmt::format("{}: no host is allowed in this run", url.authority());
    return fmt::format("{}: this host is not allowed; allowed are {}", url.authority(), fmt::join(options_.allowed_hosts, ", "));
  }

  Result<HttpRequest> made_from(const Json& arguments) const {
    HttpRequest request;
    request.method = text_argument(arguments, "method", "GET");
    request.url = text_argument(arguments, "url");
    QUERN_TRY(parse_url(request.url));
    const Json* json = arguments.find("json");
    request.body = json ? json->dump(Json::Spacing::compact) : text_argument(arguments, "body");
    if (json && arguments.find("body")) return fail(Errc::invalid_argument, "give either json or body");
    if (request.body.size() > kMostRequest) return fail(Errc::out_of_range, "the body is longer than {} bytes", kMostRequest);
    if (!request.body.empty() && (request.method == "GET" || request.method == "HEAD"))
      return fail(Errc::invalid_argument, "{} has no body", request.method);
    if (const Json* headers = arguments.find("headers")) QUERN_TRY(add_headers(request, *headers));
    if (json && !request.headers.find("Content-Type")) request.headers.add("Content-Type", "application/json");
    if (!request.headers.find("User-Agent")) request.headers.add("User-Agent", "quern");
    request.max_redirects = 0;
    request.max_body = options_.max_body;
    request.max_body_truncates = true;
    request.ca_file = options_.ca_file;
    request.resolve = options_.resolve;
    return request;
  }

  // What decides where a message ends or whom it is for is the client's own: a model that could write it could smuggle a second request.
  static Result<void> add_headers(HttpRequest& request, const Json& headers) {
    if (headers.size() > kMostHeaders) return fail(Errc::out_of_range, "more than {} headers", kMostHeaders);
    for (const auto& [name, value] : headers.as_object()) {
      if (!is_token(name)) return fail(Errc::malformed, "header {:?}: not a name", name);
      const std::string& text = value.as_string();
      if (std::any_of(text.begin(), text.end(),
                      [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7F; }))
        return fail(Errc::malformed, "header {}: contains a control character", name);
      for (const std::string_view own : {"host", "connection", "content-length", "transfer-encoding", "accept-encoding", "upgrade",
                                         "te", "trailer", "expect", "keep-alive", "proxy-authorization", "proxy-connection"})
        if (lower(name) == own) return fail(Errc::denied, "header {}: cannot be set", name);
      request.headers.add(name, text);
    }
    return {};
  }

  Result<HttpResponse> send(HttpRequest& request) const {
    QUERN_ASSIGN(const Url url, parse_url(request.url));
    const Access allowed = access(url);
    if (allowed == Access::none) return fail(Errc::denied, "{}", not_allowed(url));
    request.allow_address = nullptr;
    if (allowed == Access::public_only) request.allow_address = is_public_address;
    return http_send(request);
  }

  // Turns the request into the next one.
  static Result<void> follow(HttpRequest& request, const std::string& location, int status) {
    QUERN_ASSIGN(const Url from, parse_url(request.url));
    QUERN_ASSIGN(const Url to, resolve_url(from, location));
    if (from.is_https() && !to.is_https()) return fail(Errc::denied, "{}: redirects to an address without TLS", from.authority());
    const bool becomes_get = status == 303 || ((status == 301 || status == 302) && request.method == "POST");
    if (becomes_get && request.method != "HEAD") {
      request.method = "GET";
      request.body.clear();
    }
    HttpHeaders kept;
    for (const auto& [name, value] : request.headers.fields()) {
      const std::string small = lower(name);
      const bool harmless = small == "accept" || small == "accept-language" || small == "user-agent";
      if (request.body.empty() && small.starts_with("content-")) continue;
      if (from.origin() == to.origin() || harmless) kept.add(name, value);
    }
    if (from.origin() != to.origin() && !request.body.empty())
      return fail(Errc::denied, "{}: redirects the body of a request to another host, {}", from.authority(), to.authority());
    request.headers = std::move(kept);
    request.url = to.to_string();
    return {};
  }

  static ToolResult shown(const HttpResponse& response) {
    const std::string type = printable_name(response.media_type());
    std::string text = fmt::format("HTTP {} {}\n", response.status, type.empty() ? "(no media type)" : type);
    if (!response.final_url.empty()) text += fmt::format("from {}\n", printable_name(response.final_url));
    for (const char* name : {"Location", "Retry-After", "Link"})
      if (const std::string* value = response.headers.find(name))
        text += fmt::format("{}: {}\n", name, printable_name(value->substr(0, 500)));
    text += '\n';
    const std::string_view body = response.body;
    const std::string_view part = whole_characters(body, kMostShown);
    if (find_invalid_utf8(part) != std::string_view::npos || part.find('\0') != std::string_view::npos)
      text += fmt::format("({} bytes that are not text)", body.size());
    else
      text += part.empty() ? "(no body)" : part;
    if (part.size() < body.size() || response.truncated)
      text += fmt::format("\n(only the first {} of {}{} bytes are shown)", part.size(), response.truncated ? "more than " : "",
                          body.size());
    return {std::move(text), response.status >= 400};
  }

  HttpToolOptions options_;
  std::vector<AllowedHost> hosts_;
};

}  // namespace

Result<Tool> http_request_tool(HttpToolOptions options) {
  const auto http = std::make_shared<HttpTool>(std::move(options));
  QUERN_TRY(http->set_hosts());
  Tool tool;
  tool.definition =
      tool_definition("http_request", "Send one HTTP request and get its answer. Only the hosts that the task names are allowed.",
                      R"({"url": {"type": "string", "description": "Whole address, with http:// or https://"},
          "method": {"type": "string", "enum": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"], "description": "Absent: GET"},
          "headers": {"type": "object", "additionalProperties": {"type": "string"}, "description": "Header fields"},
          "json": {"type": ["object", "array"], "description": "JSON body"},
          "body": {"type": "string", "description": "Any other body, with its Content-Type among the headers"}})",
                      1);
  tool.changes = true;
  tool.only_reads = [http](const Json& arguments) { return http->only_reads(arguments); };
  tool.execute = [http](const Json& arguments, const CallContext& context) { return http->run(arguments, context); };
  tool.preview = [http](const Json& arguments, const CallContext&) { return http->preview(arguments); };
  return tool;
}

}  // namespace quern
