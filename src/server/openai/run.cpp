#include "server/openai/run.h"

#include <algorithm>
#include <chrono>

#include "server/unique_id.h"

namespace quern {

EventStream& OpenAiRun::events() {
  if (!events_) events_.emplace(response_);
  return *events_;
}

void OpenAiRun::fail(const OpenAiError& error) {
  if (!begun()) return send_openai_error(response_, error);
  response_.notes().finish = error.code.empty() ? error.type : error.code;
  error_event_(*events_, error);
}

std::shared_ptr<ServedModel> OpenAiRun::acquire(const std::string& name) {
  auto model = context_.models.acquire(name, [&] {
    if (error_event_) events();
    return !response_.closed();
  });
  if (model) {
    response_.notes().model = (*model)->entry.name;
    return std::move(*model);
  }
  OpenAiError error = openai_error(model.error(), "model");
  if (model.error().code == Errc::not_found) error.code = "model_not_found", error.param = "model";
  if (model.error().code == Errc::out_of_range) error.status = 503, error.type = "server_error", error.code = "model_does_not_fit";
  fail(error);
  return nullptr;
}

std::optional<TurnStream> OpenAiRun::begin(const std::shared_ptr<ServedModel>& model, TurnRequest turn) {
  turn.client = request_.client;
  auto stream = begin_turn(model, std::move(turn));
  if (stream) return std::move(*stream);
  fail(openai_error(stream.error()));
  return std::nullopt;
}

void OpenAiRun::note(const TurnEnd& end) {
  ExchangeNotes& notes = response_.notes();
  const auto add = [](int64_t& sum, int64_t more) { sum = std::max<int64_t>(sum, 0) + more; };
  add(notes.prompt_tokens, end.prompt_tokens);
  add(notes.reused_tokens, end.reused_tokens);
  add(notes.tokens, end.tokens);
  notes.queued_s = std::max(notes.queued_s, end.queued_s);
  notes.finish = end.finish == FinishReason::cancelled ? "cancelled" : finish_reason(end);
}

int64_t unix_now() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

OpenAiHead::OpenAiHead(std::string_view prefix, std::string name, const ServerContext& context)
    : id(unique_id(prefix)), model(std::move(name)), created(unix_now()), fingerprint("quern-" + context.version) {}

Json OpenAiHead::json(std::string_view object) const {
  return Json::Object{{"id", id}, {"object", object}, {"created", created}, {"model", model}, {"system_fingerprint", fingerprint}};
}

void OpenAiUsage::add(const TurnEnd& end, bool first_choice) {
  if (first_choice) {
    prompt += end.prompt_tokens;
    cached += end.reused_tokens;
  }
  completion += end.tokens;
  reasoning += end.reasoning_tokens;
  prefill_s = std::max(prefill_s, end.prefill_s);
  decode_s = std::max(decode_s, end.decode_s);
}

Json OpenAiUsage::json() const {
  return Json::Object{{"prompt_tokens", prompt},
                      {"completion_tokens", completion},
                      {"total_tokens", prompt + completion},
                      {"prompt_tokens_details", Json::Object{{"cached_tokens", cached}}},
                      {"completion_tokens_details", Json::Object{{"reasoning_tokens", reasoning}}}};
}

Json OpenAiUsage::timings() const {
  const auto rate = [](int64_t tokens, double seconds) { return seconds > 0 ? static_cast<double>(tokens) / seconds : 0.0; };
  return Json::Object{
      {"prompt_n", prompt - cached}, {"prompt_ms", prefill_s * 1000},   {"prompt_per_second", rate(prompt - cached, prefill_s)},
      {"predicted_n", completion},   {"predicted_ms", decode_s * 1000}, {"predicted_per_second", rate(completion, decode_s)}};
}

std::string_view finish_reason(const TurnEnd& end) {
  if (end.finish == FinishReason::length || end.finish == FinishReason::context) return "length";
  return end.calls > 0 ? "tool_calls" : "stop";
}

}  // namespace quern
