// HTTP's status codes for quern's errors.
#pragma once

#include <string_view>

#include "base/result.h"

namespace quern {

// 400 for what a request got wrong, 404 for a model, session or file that is not there, 403 for what policy refuses, 429 for a full
// queue, 500 for what is the server's own fault.
int http_status(Errc code);
std::string_view status_text(int status);  // "Not Found"

}  // namespace quern
