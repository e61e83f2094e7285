#include "server/http/router.h"

#include <algorithm>
#include <set>

#include "base/check.h"

namespace quern {
namespace {

bool is_name(std::string_view part) { return part.starts_with('{'); }

// "/a//b" has an empty part, which no name stands for.
std::vector<std::string_view> split(std::string_view path) {
  std::vector<std::string_view> parts;
  if (!path.starts_with('/')) return parts;
  path.remove_prefix(1);
  for (;;) {
    const size_t slash = path.find('/');
    parts.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos) return parts;
    path.remove_prefix(slash + 1);
  }
}

std::string found_path(const ServerRequest& request) { return printable_line(request.path.substr(0, 200)); }

}  // namespace

std::string_view problem_code(int status) {
  switch (status) {
    case 401:
      return "invalid_api_key";
    case 403:
      return "forbidden";
    case 404:
      return "not_found";
    case 405:
      return "method_not_allowed";
    case 408:
      return "timeout";
    case 409:
      return "conflict";
    case 413:
      return "request_too_large";
    case 421:
      return "misdirected_request";
    case 429:
      return "overloaded";
    case 431:
      return "headers_too_large";
    case 503:
      return "unavailable";
    case 501:
    case 505:
      return "unsupported";
    default:
      return status >= 500 ? "internal_error" : "invalid_request";
  }
}

Json plain_problem(const Problem& problem) {
  const auto type = [&] {
    switch (problem.status) {
      case 401:
        return "authentication_error";
      case 403:
        return "permission_error";
      case 429:
      case 503:
        return "overloaded_error";
      default:
        return problem.status == 500 ? "server_error" : "invalid_request_error";
    }
  };
  Json error = Json::object();
  error["message"] = problem.message;
  error["type"] = type();
  error["code"] = problem.code;
  Json body = Json::object();
  body["error"] = std::move(error);
  return body;
}

Router::Pattern Router::parse(std::string_view pattern) {
  Pattern parsed;
  for (const std::string_view part : split(pattern)) {
    QUERN_CHECK(!parsed.rest, "{name...} is not the last part", pattern);
    QUERN_CHECK(!is_name(part) || (part.ends_with('}') && part.size() > 2), "not a name", pattern);
    parsed.rest = part.ends_with("...}");
    parsed.parts.emplace_back(part);
  }
  QUERN_CHECK(!parsed.parts.empty(), "no path", pattern);
  return parsed;
}

bool Router::match(const Pattern& pattern, const std::vector<std::string_view>& path, std::map<std::string, std::string>& parts) {
  const size_t count = pattern.parts.size();
  if (pattern.rest ? path.size() < count : path.size() != count) return false;
  parts.clear();
  for (size_t i = 0; i < count; ++i) {
    const std::string_view wanted = pattern.parts[i];
    if (!is_name(wanted)) {
      if (path[i] != wanted) return false;
      continue;
    }
    std::string_view found = path[i];
    size_t dots = 0;
    if (pattern.rest && i + 1 == count) {
      found = {path[i].data(), static_cast<size_t>(path.back().data() + path.back().size() - path[i].data())};
      dots = 3;
    }
    if (found.empty()) return false;
    parts.emplace(wanted.substr(1, wanted.size() - 2 - dots), found);
  }
  return true;
}

bool Router::more_literal(const Pattern& a, const Pattern& b) {
  for (size_t i = 0; i < std::min(a.parts.size(), b.parts.size()); ++i)
    if (is_name(a.parts[i]) != is_name(b.parts[i])) return !is_name(a.parts[i]);
  return !a.rest && b.rest;
}

void Router::add(std::string method, std::string pattern, ServerHandler handler, RouteTraits traits) {
  for (const Route& route : routes_)
    QUERN_CHECK(route.method != method || route.pattern != pattern, "the route is there already:", method, pattern);
  patterns_.push_back(parse(pattern));
  routes_.push_back({std::move(method), std::move(pattern), std::move(handler), traits});
}

void Router::shape_problems(std::string prefix, ProblemShape shape) { shapes_.emplace_back(std::move(prefix), std::move(shape)); }

Router::Found Router::find(std::string_view method, std::string_view path) const {
  if (method == "HEAD") method = "GET";
  const std::vector<std::string_view> parts = split(path);
  Found best;
  size_t chosen = 0;
  std::set<std::string> methods;
  std::map<std::string, std::string> named;
  for (size_t i = 0; i < routes_.size(); ++i) {
    if (!match(patterns_[i], parts, named)) continue;
    methods.insert(routes_[i].method);
    if (routes_[i].method != method || (best.route && !more_literal(patterns_[i], patterns_[chosen]))) continue;
    best.route = &routes_[i];
    best.parts = std::move(named);
    chosen = i;
  }
  if (methods.empty()) return best;
  if (methods.contains("GET")) methods.insert("HEAD");
  methods.insert("OPTIONS");
  for (const std::string& each : methods) best.allowed += (best.allowed.empty() ? "" : ", ") + each;
  return best;
}

Json Router::problem_body(std::string_view path, const Problem& problem) const {
  const std::pair<std::string, ProblemShape>* best = nullptr;
  for (const auto& shape : shapes_)
    if (path.starts_with(shape.first) && (!best || shape.first.size() > best->first.size())) best = &shape;
  return best ? best->second(problem) : plain_problem(problem);
}

void Router::send_problem(const ServerRequest& request, ServerResponse& response, const Problem& problem) const {
  response.notes().finish = problem.code;
  response.json(problem.status, problem_body(request.path, problem));
}

void Router::dispatch(Found found, ServerRequest& request, ServerResponse& response) const {
  if (found.route) {
    request.parts = std::move(found.parts);
    if (request.method == "HEAD") request.method = "GET";
    return found.route->handler(request, response);
  }
  if (found.allowed.empty())
    return send_problem(request, response, {404, "not_found", fmt::format("{}: there is no such path", found_path(request))});
  response.header("allow", found.allowed);
  if (request.method == "OPTIONS") return response.send(204, "", "");
  send_problem(request, response, {405, "method_not_allowed", fmt::format("{} takes {}", found_path(request), found.allowed)});
}

}  // namespace quern
