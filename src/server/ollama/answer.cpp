#include "server/ollama/answer.h"

#include "base/utf8.h"
#include "server/model_card.h"

namespace quern {
namespace {

using WallClock = std::chrono::system_clock;

double seconds(WallClock::duration duration) { return std::chrono::duration<double>(duration).count(); }
int64_t nanoseconds(double seconds) { return static_cast<int64_t>(seconds * 1e9); }

Json logprob(const TokenLogprob& token) {
  Json::Array bytes;
  for (const char byte : token.bytes) bytes.emplace_back(static_cast<int>(static_cast<unsigned char>(byte)));
  return Json::Object{{"token", replace_invalid_utf8(token.bytes)}, {"logprob", token.logprob}, {"bytes", std::move(bytes)}};
}

Json::Array logprobs(const std::vector<TokenLogprobs>& tokens) {
  Json::Array array;
  for (const TokenLogprobs& token : tokens) {
    Json one = logprob(token);
    if (!token.top.empty()) {
      Json top = Json::array();
      for (const TokenLogprob& other : token.top) top.push_back(logprob(other));
      one["top_logprobs"] = std::move(top);
    }
    array.push_back(std::move(one));
  }
  return array;
}

}  // namespace

void OllamaAnswer::loaded() { load_s_ = seconds(options_.now() - begun_); }

Json OllamaAnswer::head() const { return Json::Object{{"model", options_.model}, {"created_at", utc_time(options_.now())}}; }

Json OllamaAnswer::piece(std::string_view content, std::string_view thinking, Json::Array calls) const {
  Json json = head();
  if (options_.call == OllamaCall::generate) {
    json["response"] = content;
    if (!thinking.empty()) json["thinking"] = thinking;
    return json;
  }
  Json message = Json::Object{{"role", "assistant"}, {"content", content}};
  if (!thinking.empty()) message["thinking"] = thinking;
  if (!calls.empty()) message["tool_calls"] = std::move(calls);
  json["message"] = std::move(message);
  return json;
}

// The call that was being made is whole. One that the end of the turn cut off is none.
void OllamaAnswer::add_call(std::vector<Json>& out) {
  if (!calling_) return;
  calling_ = false;
  const auto arguments = Json::parse(arguments_.empty() ? "{}" : arguments_, "arguments");
  if (!arguments) return;
  Json function = Json::Object{{"index", static_cast<int64_t>(calls_.size())}, {"name", name_}, {"arguments", *arguments}};
  Json call = Json::Object{{"function", std::move(function)}};
  calls_.push_back(call);
  out.push_back(piece("", "", Json::Array{std::move(call)}));
  out.back()["done"] = false;
}

std::vector<Json> OllamaAnswer::on(const TurnUpdate& update) {
  std::vector<Json> out;
  const auto add = [&](std::string_view content, std::string_view thinking) {
    out.push_back(piece(content, thinking, {}));
    out.back()["done"] = false;
  };
  if (const auto* thought = std::get_if<TurnThinking>(&update)) {
    if (!options_.thinking || thought->text.empty()) return out;
    thinking_ += thought->text;
    add("", thought->text);
  } else if (const auto* said = std::get_if<TurnText>(&update)) {
    if (said->text.empty() && said->logprobs.empty()) return out;
    add_call(out);
    content_ += said->text;
    add(said->text, "");
    if (Json::Array array = logprobs(said->logprobs); !array.empty()) {
      logprobs_.insert(logprobs_.end(), array.begin(), array.end());
      out.back()["logprobs"] = std::move(array);
    }
  } else if (const auto* call = std::get_if<TurnCall>(&update)) {
    add_call(out);
    name_ = call->name;
    arguments_.clear();
    calling_ = true;
  } else if (const auto* arguments = std::get_if<TurnArguments>(&update)) {
    arguments_ += arguments->json;
  } else if (const auto* end = std::get_if<TurnEnd>(&update)) {
    add_call(out);
    end_ = *end;
    ended_ = options_.now();
    out.push_back(ended(piece("", "", {})));
  } else if (const auto* failed = std::get_if<TurnFailed>(&update)) {
    out.push_back(Json::Object{{"error", failed->error.message}});
  }
  return out;
}

Json OllamaAnswer::ended(Json json) const {
  const bool cut = end_.finish == FinishReason::length || end_.finish == FinishReason::context;
  json["done"] = true;
  json["done_reason"] = cut ? "length" : "stop";
  json["total_duration"] = nanoseconds(seconds(ended_ - begun_));
  json["load_duration"] = nanoseconds(load_s_);
  json["prompt_eval_count"] = end_.prompt_tokens;
  json["prompt_eval_duration"] = nanoseconds(end_.prefill_s);
  json["eval_count"] = end_.tokens;
  json["eval_duration"] = nanoseconds(end_.decode_s);
  return json;
}

Json OllamaAnswer::whole() const {
  Json json = ended(piece(content_, thinking_, calls_));
  if (!logprobs_.empty()) json["logprobs"] = logprobs_;
  return json;
}

Json OllamaAnswer::nothing(std::string_view done_reason) const {
  Json json = piece("", "", {});
  json["done"] = true;
  json["done_reason"] = done_reason;
  return json;
}

}  // namespace quern
