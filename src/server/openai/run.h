// One request of OpenAI's API on its way: a model is waited for, a turn begun and listened to, and whatever fails is told, as an answer or,
// once events have begun, as an event.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/context.h"
#include "server/http/event_stream.h"
#include "server/openai/error.h"
#include "server/turn.h"

namespace quern {

// While it lives, turns end when the client goes away. It must not outlive them.
class ClientWatch {
 public:
  ClientWatch(ServerResponse& response, std::vector<TurnStream*> turns) : response_(response) {
    response_.on_closed([turns = std::move(turns)] {
      for (TurnStream* turn : turns) turn->cancel();
    });
  }
  ~ClientWatch() { response_.on_closed(nullptr); }
  ClientWatch(const ClientWatch&) = delete;

 private:
  ServerResponse& response_;
};

class OpenAiRun {
 public:
  using ErrorEvent = std::function<void(EventStream&, const OpenAiError&)>;

  OpenAiRun(ServerContext& context, const ServerRequest& request, ServerResponse& response)
      : context_(context), request_(request), response_(response) {}
  OpenAiRun(const OpenAiRun&) = delete;

  // The answer is to be a stream of events: from when a wait begins, errors are events.
  void stream(ErrorEvent error_event) { error_event_ = std::move(error_event); }
  // Begins the stream unless it has begun.
  EventStream& events();
  bool begun() const { return events_.has_value(); }

  void fail(const OpenAiError& error);
  // Tells what failed and gives nothing.
  std::shared_ptr<ServedModel> acquire(const std::string& name);
  std::optional<TurnStream> begin(const std::shared_ptr<ServedModel>& model, TurnRequest turn);

  void note(const TurnEnd& end);  // for the log and the metrics; of several turns the sum, and the longest wait

  ServerContext& context() { return context_; }
  const ServerRequest& request() const { return request_; }
  ServerResponse& response() { return response_; }

 private:
  ServerContext& context_;
  const ServerRequest& request_;
  ServerResponse& response_;
  ErrorEvent error_event_;
  std::optional<EventStream> events_;
};

// What an answer is called, and when it was begun.
struct OpenAiHead {
  std::string id, model;
  int64_t created = 0;
  std::string fingerprint;

  OpenAiHead(std::string_view prefix, std::string model, const ServerContext& context);
  Json json(std::string_view object) const;  // {"id", "object", "created", "model", "system_fingerprint"}
};

int64_t unix_now();

// What turns took, as usage, of all choices together: the prompt counts once for each prompt.
struct OpenAiUsage {
  int64_t prompt = 0, cached = 0, completion = 0, reasoning = 0;
  double prefill_s = 0, decode_s = 0;

  void add(const TurnEnd& end, bool first_choice);
  Json json() const;     // of chat and completions
  Json timings() const;  // of the same: tokens and milliseconds
};

// Of a turn that ended: why, as chat and completions say it; nothing for one that was cancelled.
std::string_view finish_reason(const TurnEnd& end);

}  // namespace quern
