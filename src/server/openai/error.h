// Errors as OpenAI's API tells them.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "server/http/exchange.h"
#include "server/http/router.h"

namespace quern {

struct OpenAiError {
  int status = 500;
  std::string message;
  std::string type;   // invalid_request_error, rate_limit_error, server_error, …
  std::string param;  // of the request: "messages[0].content"; empty: none
  std::string code;   // a word for programs; empty: none

  Json body() const;   // {"error": {…}}
  Json inner() const;  // {"message", "type", "param", "code"}
};

// What a request got wrong: the place that its message begins with becomes `param`.
OpenAiError openai_error(const Error& error);
// With `param` where the message names none.
OpenAiError openai_error(const Error& error, std::string_view param);
OpenAiError openai_error(const Problem& problem);  // what was found below the handlers

// Before anything else was sent. Says in the exchange's notes what it was.
void send_openai_error(ServerResponse& response, const OpenAiError& error);

}  // namespace quern
