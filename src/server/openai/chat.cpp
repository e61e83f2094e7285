// /v1/chat/completions.
#include "server/openai/chat_answer.h"
#include "server/openai/chat_request.h"
#include "server/openai/handlers.h"

namespace quern {
namespace {

ChatAnswerOptions answer_options(const ChatRequest& asked, const ServedModel& model, const ServerContext& context) {
  return {.head = OpenAiHead("chatcmpl-", asked.model.empty() ? model.entry.name : asked.model, context),
          .choices = static_cast<size_t>(asked.turn.choices),
          .logprobs = asked.turn.top_logprobs.has_value(),
          .functions = asked.functions,
          .include_usage = asked.include_usage};
}

void stream_chat(OpenAiRun& run, TurnStream& turn, ChatAnswerOptions options) {
  ChatChunks chunks(std::move(options));
  while (auto update = turn.next()) {
    if (const auto failed = failure_of(*update)) return run.fail(*failed);
    if (const auto* end = std::get_if<TurnEnd>(&*update)) run.note(*end);
    if (!tell_progress(run, *update)) return;
    for (const Json& chunk : chunks.on(turn.choice(), *update))
      if (!run.events().json(chunk)) return;
  }
  if (const auto last = chunks.last()) run.events().json(*last);
  run.events().last_data("[DONE]");
}

void answer_chat(OpenAiRun& run, TurnStream& turn, ChatAnswerOptions options) {
  ChatWhole whole(std::move(options));
  while (auto update = turn.next()) {
    if (const auto failed = failure_of(*update)) return run.fail(*failed);
    if (const auto* end = std::get_if<TurnEnd>(&*update)) run.note(*end);
    whole.on(turn.choice(), *update);
  }
  run.response().json(200, whole.answer());
}

}  // namespace

std::optional<OpenAiError> failure_of(const TurnUpdate& update) {
  if (const auto* failed = std::get_if<TurnFailed>(&update)) return openai_error(failed->error);
  const auto* end = std::get_if<TurnEnd>(&update);
  if (!end || end->finish != FinishReason::cancelled) return std::nullopt;
  return OpenAiError{.status = 503,
                     .message = "the answer was cancelled: the server is stopping",
                     .type = "server_error",
                     .param = {},
                     .code = "cancelled"};
}

bool tell_progress(OpenAiRun& run, const TurnUpdate& update) {
  if (const auto* disk = std::get_if<TurnFromDisk>(&update))
    return run.events().comment(
        fmt::format("{} of {} bytes of the model are in memory", disk->weights.resident, disk->weights.total));
  const auto* reading = std::get_if<TurnReading>(&update);
  return !reading || run.events().comment(fmt::format("read {} of {} tokens", reading->done, reading->total));
}

void error_as_data(EventStream& events, const OpenAiError& error) { events.json(error.body()); }

void handle_chat(ServerContext& context, const ServerRequest& request, ServerResponse& response) {
  OpenAiRun run(context, request, response);
  const auto body = request_json(request, context);
  if (!body) return run.fail(openai_error(body.error()));
  auto asked = parse_chat_request(*body);
  if (!asked) return run.fail(openai_error(asked.error()));
  if (asked->stream) run.stream(error_as_data);
  const auto model = run.acquire(asked->model);
  if (!model) return;
  ChatAnswerOptions options = answer_options(*asked, *model, context);
  asked->turn.move_volatile = context.move_volatile;
  asked->turn.sampling = asked->sampling.over(model->engine->default_sampling());
  auto turn = run.begin(model, std::move(asked->turn));
  if (!turn) return;
  const ClientWatch watch(response, {&*turn});
  if (asked->stream)
    stream_chat(run, *turn, std::move(options));
  else
    answer_chat(run, *turn, std::move(options));
}

}  // namespace quern
