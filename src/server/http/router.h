// Which handler a request belongs to, and how errors look on which paths. Filled before the server starts, only read afterwards.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/http/exchange.h"

namespace quern {

// An error as it is told to a client. `code` is a word for programs: "invalid_api_key".
struct Problem {
  int status = 500;
  std::string code, message;
};
// What errors found below a dialect's handlers are: 400 invalid_request, 401 invalid_api_key, 404 not_found, …
std::string_view problem_code(int status);

// An error as the body of an answer, in a dialect's shape.
using ProblemShape = std::function<Json(const Problem&)>;
// {"error": {"message", "type", "code"}}
Json plain_problem(const Problem& problem);

struct RouteTraits {
  bool open = false;   // needs no key, where others do
  bool light = false;  // answers at once: served even when every handler is busy, and while the server drains
};

struct Route {
  std::string method, pattern;
  ServerHandler handler;
  RouteTraits traits;
};

class Router {
 public:
  // A pattern is a path whose parts may be names: "/v1/sessions/{id}/fork". {name} stands for one part, which is not empty; {name...} at
  // the end for the rest, slashes included. Where several patterns fit, the one with the earlier literal part wins. The same
  // method and pattern twice is a bug (checked). Whoever answers GET answers HEAD.
  void add(std::string method, std::string pattern, ServerHandler handler, RouteTraits traits = {});
  // On paths that begin so; the longest prefix wins. Elsewhere errors are plain_problem's.
  void shape_problems(std::string prefix, ProblemShape shape);

  struct Found {
    const Route* route = nullptr;  // nullptr: see `allowed`
    std::map<std::string, std::string> parts;
    std::string allowed;  // "GET, HEAD, OPTIONS"; empty: no such path
  };
  Found find(std::string_view method, std::string_view path) const;

  Json problem_body(std::string_view path, const Problem& problem) const;
  // Answers with it, and puts it down as what the exchange ended with.
  void send_problem(const ServerRequest& request, ServerResponse& response, const Problem& problem) const;

  // Runs the handler that find() names; answers 404 for what there is not, 405 with Allow for a method that does not fit, 204 with Allow
  // to OPTIONS.
  void dispatch(ServerRequest request, ServerResponse& response) const {
    dispatch(find(request.method, request.path), request, response);
  }
  void dispatch(Found found, ServerRequest& request, ServerResponse& response) const;

  const std::vector<Route>& routes() const { return routes_; }

 private:
  struct Pattern {
    std::vector<std::string> parts;  // a name keeps its braces
    bool rest = false;               // the last is {name...}
  };
  static Pattern parse(std::string_view pattern);
  static bool match(const Pattern& pattern, const std::vector<std::string_view>& path, std::map<std::string, std::string>& parts);
  static bool more_literal(const Pattern& a, const Pattern& b);

  std::vector<Route> routes_;
  std::vector<Pattern> patterns_;  // of routes_
  std::vector<std::pair<std::string, ProblemShape>> shapes_;
};

}  // namespace quern
