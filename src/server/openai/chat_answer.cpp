#include "server/openai/chat_answer.h"

#include <algorithm>

#include "base/utf8.h"

namespace quern {
namespace {

Json logprob_json(const TokenLogprob& token) {
  Json bytes = Json::array();
  for (const char byte : token.bytes) bytes.push_back(static_cast<int64_t>(static_cast<unsigned char>(byte)));
  return Json::Object{
      {"token", replace_invalid_utf8(token.bytes)}, {"logprob", finite_logprob(token.logprob)}, {"bytes", std::move(bytes)}};
}

Json function_json(const std::string& name, const std::string& arguments) {
  return Json::Object{{"name", name}, {"arguments", arguments}};
}

Json finish_json(const TurnEnd& end, bool functions) {
  const std::string_view reason = finish_reason(end);
  return functions && reason == "tool_calls" ? "function_call" : reason;
}

}  // namespace

double finite_logprob(double logprob) { return std::clamp(logprob, -9999.0, 0.0); }

Json logprobs_json(const std::vector<TokenLogprobs>& tokens) {
  Json all = Json::array();
  for (const TokenLogprobs& token : tokens) {
    Json one = logprob_json(token), top = Json::array();
    for (const TokenLogprob& other : token.top) top.push_back(logprob_json(other));
    one["top_logprobs"] = std::move(top);
    all.push_back(std::move(one));
  }
  return all;
}

Json ChatChunks::chunk(int64_t choice, Json delta, Json finish) const {
  Json made = options_.head.json("chat.completion.chunk");
  Json one =
      Json::Object{{"index", choice}, {"delta", std::move(delta)}, {"logprobs", nullptr}, {"finish_reason", std::move(finish)}};
  made["choices"] = Json::Array{std::move(one)};
  if (options_.include_usage) made["usage"] = nullptr;
  return made;
}

Json ChatChunks::call_delta(int64_t index, Json function, const std::string* id) const {
  if (options_.functions) return Json::Object{{"function_call", std::move(function)}};
  Json call = Json::Object{{"index", index}};
  if (id) call["id"] = *id, call["type"] = "function";
  call["function"] = std::move(function);
  return Json::Object{{"tool_calls", Json::Array{std::move(call)}}};
}

std::vector<Json> ChatChunks::on(int64_t choice, const TurnUpdate& update) {
  std::vector<Json> made;
  const auto say = [&](Json delta, Json finish = nullptr) { made.push_back(chunk(choice, std::move(delta), std::move(finish))); };
  if (std::holds_alternative<TurnBegun>(update) || std::holds_alternative<TurnReading>(update) ||
      std::holds_alternative<TurnFromDisk>(update))
    return made;
  if (auto begun = begun_[static_cast<size_t>(choice)]; !begun) {
    begun = true;
    say(Json::Object{{"role", "assistant"}, {"content", ""}});
  }
  if (const auto* thinking = std::get_if<TurnThinking>(&update)) say(Json::Object{{"reasoning_content", thinking->text}});
  if (const auto* text = std::get_if<TurnText>(&update)) {
    say(Json::Object{{"content", text->text}});
    Json& told = made.back().find("choices")->as_array()[0];
    if (options_.logprobs) told["logprobs"] = Json::Object{{"content", logprobs_json(text->logprobs)}, {"refusal", nullptr}};
  }
  if (const auto* call = std::get_if<TurnCall>(&update)) say(call_delta(call->index, function_json(call->name, ""), &call->id));
  if (const auto* arguments = std::get_if<TurnArguments>(&update))
    say(call_delta(arguments->index, Json::Object{{"arguments", arguments->json}}, nullptr));
  if (const auto* end = std::get_if<TurnEnd>(&update)) {
    usage_.add(*end, choice == 0);
    say(Json::object(), finish_json(*end, options_.functions));
    made.back()["timings"] = usage_.timings();
  }
  return made;
}

std::optional<Json> ChatChunks::last() const {
  if (!options_.include_usage) return std::nullopt;
  Json made = options_.head.json("chat.completion.chunk");
  made["choices"] = Json::array();
  made["usage"] = usage_.json();
  return made;
}

void ChatWhole::on(int64_t number, const TurnUpdate& update) {
  Choice& choice = choices_[static_cast<size_t>(number)];
  if (const auto* thinking = std::get_if<TurnThinking>(&update)) choice.thinking += thinking->text;
  if (const auto* text = std::get_if<TurnText>(&update)) {
    choice.text += text->text;
    choice.logprobs.insert(choice.logprobs.end(), text->logprobs.begin(), text->logprobs.end());
  }
  if (const auto* call = std::get_if<TurnCall>(&update)) choice.calls.push_back({call->id, call->name, ""});
  if (const auto* arguments = std::get_if<TurnArguments>(&update)) choice.calls.back().arguments += arguments->json;
  if (const auto* end = std::get_if<TurnEnd>(&update)) {
    choice.end = *end;
    choice.calls.resize(static_cast<size_t>(end->calls));  // one that was cut off is none
    usage_.add(*end, number == 0);
  }
}

Json ChatWhole::message(const Choice& choice) const {
  Json message = Json::Object{{"role", "assistant"}, {"content", choice.text}, {"refusal", nullptr}};
  if (choice.text.empty() && !choice.calls.empty()) message["content"] = nullptr;
  if (!choice.thinking.empty()) message["reasoning_content"] = choice.thinking;
  Json calls = Json::array();
  for (const Call& call : choice.calls) {
    if (options_.functions) {
      message["function_call"] = function_json(call.name, call.arguments);
      return message;
    }
    calls.push_back(Json::Object{{"id", call.id}, {"type", "function"}, {"function", function_json(call.name, call.arguments)}});
  }
  if (calls.size() > 0) message["tool_calls"] = std::move(calls);
  return message;
}

Json ChatWhole::answer() const {
  Json made = options_.head.json("chat.completion"), choices = Json::array();
  for (size_t i = 0; i < choices_.size(); ++i) {
    Json logprobs;
    if (options_.logprobs) logprobs = Json::Object{{"content", logprobs_json(choices_[i].logprobs)}, {"refusal", nullptr}};
    choices.push_back(Json::Object{{"index", static_cast<int64_t>(i)},
                                   {"message", message(choices_[i])},
                                   {"logprobs", std::move(logprobs)},
                                   {"finish_reason", finish_json(choices_[i].end, options_.functions)}});
  }
  made["choices"] = std::move(choices);
  made["usage"] = usage_.json();
  made["timings"] = usage_.timings();
  return made;
}

}  // namespace quern
