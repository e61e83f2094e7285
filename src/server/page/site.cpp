#include "server/page/site.h"

#include <array>
#include <utility>

#include "base/result.h"

namespace quern {
namespace {

// Everything the page needs is in it; nobody may put it into a frame.
constexpr const char* kPagePolicy =
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'";
// Pictures bring their colours along in a style of their own.
constexpr const char* kDocsPolicy =
    "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

constexpr std::array<std::pair<std::string_view, const char*>, 7> kTypes = {{{".html", "text/html; charset=utf-8"},
                                                                             {".css", "text/css; charset=utf-8"},
                                                                             {".svg", "image/svg+xml"},
                                                                             {".png", "image/png"},
                                                                             {".webp", "image/webp"},
                                                                             {".json", "application/json"},
                                                                             {".txt", "text/plain; charset=utf-8"}}};

const char* type_of(std::string_view name) {
  for (const auto& [ending, type] : kTypes)
    if (name.ends_with(ending)) return type;
  return "application/octet-stream";
}

}  // namespace

void send_site_file(ServerResponse& response, std::string_view name, bool scripts) {
  response.header("content-security-policy", scripts ? kPagePolicy : kDocsPolicy);
  response.header("x-content-type-options", "nosniff");
  response.header("referrer-policy", "no-referrer");
  response.header("cache-control", "no-cache");
  response.send(200, type_of(name), std::string(site_file(name)));
}

void add_docs_routes(Router& router) {
  constexpr RouteTraits traits{.open = true, .light = true};  // nothing in it is anybody's
  const auto send = [](const std::string& file, ServerResponse& response) {
    if (!site_file("docs/" + file).empty()) return send_site_file(response, "docs/" + file, false);
    response.notes().finish = problem_code(404);
    response.send(404, "text/plain; charset=utf-8",
                  site_file("docs/index.html").empty()
                      ? "quern was built without its documentation, for want of npm; its sources have it under docs/.\n"
                      : printable_line(fmt::format("The documentation has no page {}.", file.substr(0, 100))) + "\n");
  };
  // Links in it are relative: its address has to end with a slash.
  router.add(
      "GET", "/docs",
      [send](const ServerRequest&, ServerResponse& response) {
        if (site_file("docs/index.html").empty()) return send("index.html", response);
        response.header("location", "docs/");
        response.send(308, "text/plain; charset=utf-8", "docs/\n");
      },
      traits);
  router.add("GET", "/docs/", [send](const ServerRequest&, ServerResponse& response) { send("index.html", response); }, traits);
  router.add(
      "GET", "/docs/{file...}",
      [send](const ServerRequest& request, ServerResponse& response) { send(request.parts.at("file"), response); }, traits);
}

}  // namespace quern
