#include "server/openai/response_answer.h"

#include "server/openai/chat_answer.h"
#include "server/unique_id.h"

namespace quern {

Json ResponseAnswer::part_json(const Item& item, bool whole) const {
  const std::string text = whole ? item.text : "";
  if (item.kind == Item::Kind::reasoning) return Json::Object{{"type", "reasoning_text"}, {"text", text}};
  Json part = Json::Object{{"type", "output_text"}, {"text", text}, {"annotations", Json::array()}, {"logprobs", Json::array()}};
  if (options_.logprobs && whole) part["logprobs"] = logprobs_json(item.logprobs);
  return part;
}

Json ResponseAnswer::item_json(const Item& item) const {
  Json made = Json::Object{{"id", item.id}};
  const bool whole = item.status != "in_progress";
  const Json content = whole ? Json(Json::Array{part_json(item, true)}) : Json::array();
  switch (item.kind) {
    case Item::Kind::reasoning:
      made["type"] = "reasoning";
      made["summary"] = Json::array();
      made["content"] = content;
      if (options_.encrypted_reasoning && whole) made["encrypted_content"] = pack_reasoning(item.text);
      break;
    case Item::Kind::message:
      made["type"] = "message";
      made["role"] = "assistant";
      made["content"] = content;
      break;
    case Item::Kind::call:
      made["type"] = "function_call";
      made["call_id"] = item.call_id;
      made["name"] = item.name;
      if (!item.space.empty()) made["namespace"] = item.space;
      made["arguments"] = whole ? item.text : "";
      break;
  }
  made["status"] = item.status;
  return made;
}

Json ResponseAnswer::response() const {
  Json made = Json::Object{{"id", options_.head.id}, {"object", "response"}, {"created_at", options_.head.created},
                           {"status", status_},      {"background", false},  {"model", options_.head.model}};
  for (const auto& [name, value] : options_.echo.as_object()) made[name] = value;
  Json output = Json::array();
  for (const Item& item : items_) output.push_back(item_json(item));
  made["output"] = std::move(output);
  made["error"] = nullptr;
  if (error_)
    made["error"] = Json::Object{{"code", error_->code.empty() ? error_->type : error_->code}, {"message", error_->message}};
  made["incomplete_details"] = nullptr;
  if (status_ == "incomplete") made["incomplete_details"] = Json::Object{{"reason", "max_output_tokens"}};
  made["usage"] = nullptr;
  if (status_ == "in_progress" || status_ == "failed") return made;
  made["usage"] = Json::Object{{"input_tokens", usage_.prompt},
                               {"input_tokens_details", Json::Object{{"cached_tokens", usage_.cached}}},
                               {"output_tokens", usage_.completion},
                               {"output_tokens_details", Json::Object{{"reasoning_tokens", usage_.reasoning}}},
                               {"total_tokens", usage_.prompt + usage_.completion}};
  made["timings"] = usage_.timings();
  return made;
}

ResponseItems ResponseAnswer::output() const {
  ResponseItems items;
  for (const Item& item : items_) items.push_back(std::make_shared<const Json>(item_json(item)));
  return items;
}

void ResponseAnswer::say(std::string_view type, Json members) {
  if (!on_event_) return;
  Json event = Json::Object{{"type", type}, {"sequence_number", sequence_++}};
  for (auto& [name, value] : members.as_object()) event[name] = std::move(value);
  on_event_(event);
}

void ResponseAnswer::say_of_item(std::string_view type, Json members) {
  Json all = Json::Object{{"item_id", items_.back().id}, {"output_index", static_cast<int64_t>(items_.size()) - 1}};
  if (items_.back().kind != Item::Kind::call) all["content_index"] = 0;
  for (auto& [name, value] : members.as_object()) all[name] = std::move(value);
  say(type, std::move(all));
}

void ResponseAnswer::begin() {
  say("response.created", Json::Object{{"response", response()}});
  say("response.in_progress", Json::Object{{"response", response()}});
}

void ResponseAnswer::open(Item::Kind kind, std::string_view prefix, const TurnCall* call) {
  if (open_ && items_.back().kind == kind && !call) return;
  close("completed");
  Item& item = items_.emplace_back(Item{.kind = kind, .id = unique_id(prefix)});
  if (call) {
    item.call_id = call->id;
    item.name = call->name;
    if (const auto found = options_.namespaced.find(call->name); found != options_.namespaced.end())
      item.space = found->second.space, item.name = found->second.name;
  }
  open_ = true;
  say("response.output_item.added",
      Json::Object{{"output_index", static_cast<int64_t>(items_.size()) - 1}, {"item", item_json(item)}});
  if (kind != Item::Kind::call) say_of_item("response.content_part.added", Json::Object{{"part", part_json(item, false)}});
}

void ResponseAnswer::close(std::string_view status) {
  if (!open_) return;
  open_ = false;
  Item& item = items_.back();
  item.status = status;
  if (item.kind == Item::Kind::call) {
    say_of_item("response.function_call_arguments.done", Json::Object{{"name", item.name}, {"arguments", item.text}});
  } else {
    Json done = Json::Object{{"text", item.text}};
    if (item.kind == Item::Kind::message) done["logprobs"] = *part_json(item, true).find("logprobs");
    say_of_item(item.kind == Item::Kind::message ? "response.output_text.done" : "response.reasoning_text.done", std::move(done));
    say_of_item("response.content_part.done", Json::Object{{"part", part_json(item, true)}});
  }
  say("response.output_item.done",
      Json::Object{{"output_index", static_cast<int64_t>(items_.size()) - 1}, {"item", item_json(item)}});
}

void ResponseAnswer::on(const TurnUpdate& update) {
  if (const auto* thinking = std::get_if<TurnThinking>(&update)) {
    open(Item::Kind::reasoning, "rs_");
    items_.back().text += thinking->text;
    say_of_item("response.reasoning_text.delta", Json::Object{{"delta", thinking->text}});
  }
  if (const auto* text = std::get_if<TurnText>(&update)) {
    open(Item::Kind::message, "msg_");
    Item& item = items_.back();
    item.text += text->text;
    item.logprobs.insert(item.logprobs.end(), text->logprobs.begin(), text->logprobs.end());
    Json delta = Json::Object{{"delta", text->text}, {"logprobs", Json::array()}};
    if (options_.logprobs) delta["logprobs"] = logprobs_json(text->logprobs);
    say_of_item("response.output_text.delta", std::move(delta));
  }
  if (const auto* call = std::get_if<TurnCall>(&update)) open(Item::Kind::call, "fc_", call);
  if (const auto* arguments = std::get_if<TurnArguments>(&update)) {
    items_.back().text += arguments->json;
    say_of_item("response.function_call_arguments.delta", Json::Object{{"delta", arguments->json}});
  }
}

void ResponseAnswer::end(const TurnEnd& end, const std::function<void()>& before_last) {
  usage_.add(end, true);
  const bool cut = end.finish == FinishReason::length || end.finish == FinishReason::context;
  close(cut ? "incomplete" : "completed");
  status_ = cut ? "incomplete" : "completed";
  if (cut) {  // a call that was cut off is none
    int64_t calls = 0;
    std::erase_if(items_, [&](const Item& item) { return item.kind == Item::Kind::call && ++calls > end.calls; });
  }
  before_last();
  say(cut ? "response.incomplete" : "response.completed", Json::Object{{"response", response()}});
}

void ResponseAnswer::fail(const OpenAiError& error) {
  close("incomplete");
  status_ = "failed";
  error_ = error;
  const auto or_null = [](const std::string& text) { return text.empty() ? Json() : Json(text); };
  say("error", Json::Object{{"code", or_null(error.code)}, {"message", error.message}, {"param", or_null(error.param)}});
  say("response.failed", Json::Object{{"response", response()}});
}

}  // namespace quern
