#include "server/openai/completion_request.h"

#include "server/openai/shapes.h"
#include "server/shape.h"

namespace quern {
namespace {

constexpr size_t kMostPrompts = 64;
constexpr int64_t kDefaultTokens = 16;  // OpenAI's

}  // namespace

Result<CompletionRequest> parse_completion_request(const Json& body) {
  QUERN_TRY(openai_shapes::completion_request().check(body));
  CompletionRequest request;
  request.model = text_of(body, "model").value_or("");
  QUERN_ASSIGN(request.prompts, read_prompts(*body.find("prompt"), "prompt", kMostPrompts));
  QUERN_ASSIGN(request.sampling, read_sampling(body));
  TurnRequest& turn = request.turn;
  turn.choices = integer_of(body, "n").value_or(1);
  if (integer_of(body, "best_of").value_or(1) > turn.choices)
    return fail(Errc::unsupported, "best_of: more than n: answers are not compared");
  if (!text_of(body, "suffix").value_or("").empty()) return fail(Errc::unsupported, "suffix: these models do not fill in");
  turn.max_tokens = integer_of(body, "max_tokens").value_or(kDefaultTokens);
  turn.stop = read_stop(body);
  QUERN_ASSIGN(turn.schema, read_answer_schema(member_of(body, "response_format"), "response_format"));
  if (const auto top = integer_of(body, "logprobs")) turn.top_logprobs = static_cast<int>(*top);
  request.echo = boolean_of(body, "echo").value_or(false);
  if (request.echo && turn.top_logprobs) return fail(Errc::unsupported, "echo: not together with logprobs: the prompt has none");
  request.stream = boolean_of(body, "stream").value_or(false);
  if (const Json* options = member_of(body, "stream_options"))
    request.include_usage = request.stream && boolean_of(*options, "include_usage").value_or(false);
  return request;
}

}  // namespace quern
