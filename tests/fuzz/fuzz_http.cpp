// A client's bytes to requests, fed whole and in pieces: the same requests, the same refusal, however they are cut; then what a server does
// with a head before it knows who asks.
#include <algorithm>
#include <string>
#include <vector>

#include "fuzz.h"
#include "server/http/access.h"
#include "server/http/request_parser.h"

using namespace quern;

namespace {

// What came of the bytes, in a form that can be compared.
struct Outcome {
  std::vector<std::string> requests;
  int refused = 0;
};

const RequestLimits kLimits{.header = 2000, .fields = 20, .target = 500, .body = 3000};

Outcome parse(std::string_view bytes, size_t piece) {
  static const AccessPolicy policy(
      {.keys = {{"ann", std::string(64, 'a')}}, .hosts = {"localhost"}, .origins = {"https://a.example"}});
  Outcome outcome;
  while (!bytes.empty()) {
    RequestParser parser(kLimits);
    while (!bytes.empty() && parser.state() != RequestParser::State::complete && parser.state() != RequestParser::State::failed) {
      const std::string_view part = bytes.substr(0, piece);
      const size_t used = parser.feed(part);
      QUERN_CHECK(used <= part.size(), used);
      QUERN_CHECK(used > 0 || parser.state() == RequestParser::State::body || parser.state() == RequestParser::State::complete);
      bytes.remove_prefix(used);
    }
    if (parser.state() == RequestParser::State::failed) {
      const Problem& problem = parser.problem();
      QUERN_CHECK(problem.status >= 400 && problem.status < 600 && !problem.message.empty() &&
                  problem.message.find('\n') == std::string::npos);
      outcome.refused = problem.status;
      return outcome;
    }
    if (parser.state() != RequestParser::State::complete) return outcome;  // more would have to come
    const ServerRequest& request = parser.request();
    QUERN_CHECK(request.body.size() <= kLimits.body && request.headers.fields().size() <= kLimits.fields);
    QUERN_CHECK(request.path.starts_with('/') || request.path == "*", request.path);
    QUERN_CHECK(request.path.find('\0') == std::string::npos);
    const auto verdict = policy.judge(request.method, request.headers, parser.host(), false);
    QUERN_CHECK(verdict.problem || verdict.preflight);  // nobody knows a key with that digest
    for (const auto& [name, value] : verdict.headers) QUERN_CHECK(value.find_first_of("\r\n") == std::string::npos);
    std::string text = request.method + " " + request.path + "\n" + parser.host() + "\n" + request.body;
    for (const auto& [name, value] : request.headers.fields()) text += "\n" + name + ": " + value;
    outcome.requests.push_back(std::move(text));
  }
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes = fuzz::text_of(data, std::min<size_t>(size, 10000));
  const Outcome whole = parse(bytes, SIZE_MAX);
  for (const size_t piece : {1u, 3u, 17u}) {
    const Outcome cut = parse(bytes, piece);
    // Of several reasons to refuse one request, the first that is seen is told.
    QUERN_CHECK(cut.requests == whole.requests && (cut.refused > 0) == (whole.refused > 0), piece, cut.refused, whole.refused);
  }
  return 0;
}
