#include "server/openai/error.h"

#include <algorithm>

#include "server/http/status.h"

namespace quern {
namespace {

Json or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }

std::string_view type_of(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 429:
      return "rate_limit_error";
    default:
      return status >= 500 ? "server_error" : "invalid_request_error";
  }
}

// "messages[0].content" of "messages[0].content: expected …"; empty where the message begins with words.
std::string_view place_in(std::string_view message) {
  const std::string_view place = message.substr(0, message.find(": "));
  const auto is_word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '[' ||
           c == ']';
  };
  if (place.size() == message.size() || place == "request" || !std::all_of(place.begin(), place.end(), is_word)) return {};
  return place;
}

// What the words that other layers begin with are called in a request.
std::string_view param_in(std::string_view message) {
  if (message.starts_with("tool '") || message.starts_with("tools[")) return "tools";
  if (message.starts_with("answer: ")) return "response_format";
  return place_in(message);
}

std::string_view code_of(Errc code) {
  switch (code) {
    case Errc::not_found:
      return "not_found";
    case Errc::unsupported:
      return "unsupported_value";
    case Errc::out_of_range:
      return "context_length_exceeded";
    case Errc::busy:
      return "server_busy";
    case Errc::malformed:
    case Errc::invalid_argument:
    case Errc::mismatch:
      return "invalid_value";
    default:
      return "";
  }
}

}  // namespace

Json OpenAiError::inner() const {
  return Json::Object{{"message", message}, {"type", type}, {"param", or_null(param)}, {"code", or_null(code)}};
}
Json OpenAiError::body() const { return Json::Object{{"error", inner()}}; }

OpenAiError openai_error(const Error& error) { return openai_error(error, ""); }
OpenAiError openai_error(const Error& error, std::string_view param) {
  OpenAiError made;
  made.status = http_status(error.code);
  made.message = error.message;
  made.type = type_of(made.status);
  made.param = param_in(error.message);
  if (made.param.empty()) made.param = param;
  made.code = code_of(error.code);
  return made;
}

OpenAiError openai_error(const Problem& problem) {
  return {.status = problem.status,
          .message = problem.message,
          .type = std::string(type_of(problem.status)),
          .param = {},
          .code = problem.code};
}

void send_openai_error(ServerResponse& response, const OpenAiError& error) {
  response.notes().finish = error.code.empty() ? error.type : error.code;
  response.json(error.status, error.body());
}

}  // namespace quern
