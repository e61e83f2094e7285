// A turn as /v1/responses tells it: events that build up output items, and the response that holds them in the end.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "server/openai/response_request.h"
#include "server/openai/response_store.h"
#include "server/openai/run.h"
#include "server/turn.h"

namespace quern {

class ResponseAnswer {
 public:
  struct Options {
    OpenAiHead head;
    Json echo;  // of the request, with the metadata
    std::map<std::string, NamespacedFunction> namespaced = {};
    bool encrypted_reasoning = false;
    bool logprobs = false;
  };
  // on_event: called with each event, numbered; empty: nobody listens.
  ResponseAnswer(Options options, std::function<void(const Json& event)> on_event)
      : options_(std::move(options)), on_event_(std::move(on_event)) {}

  void begin();                       // response.created, response.in_progress
  void on(const TurnUpdate& update);  // but for the end
  // The last items are done; then `before_last` is called, and response.completed or response.incomplete is told.
  void end(const TurnEnd& end, const std::function<void()>& before_last);
  void fail(const OpenAiError& error);  // error, response.failed

  Json response() const;         // as it stands
  ResponseItems output() const;  // the items, as the store keeps them

 private:
  struct Item {
    enum class Kind { reasoning, message, call } kind;
    std::string id;
    std::string text;                  // or the call's arguments
    std::string call_id, name, space;  // of a call; no space: the function is in none
    std::vector<TokenLogprobs> logprobs;
    std::string_view status = "in_progress";
  };
  Json item_json(const Item& item) const;
  Json part_json(const Item& item, bool whole) const;
  void say(std::string_view type, Json members);
  void say_of_item(std::string_view type, Json members);  // with the last item's id and index
  void open(Item::Kind kind, std::string_view prefix, const TurnCall* call = nullptr);
  void close(std::string_view status);

  Options options_;
  std::function<void(const Json&)> on_event_;
  int64_t sequence_ = 0;
  std::vector<Item> items_;
  bool open_ = false;  // the last item goes on
  std::string_view status_ = "in_progress";
  std::optional<OpenAiError> error_;
  OpenAiUsage usage_;
};

}  // namespace quern
