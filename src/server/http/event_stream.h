// A text/event-stream (server-sent events) on an answer: https://html.spec.whatwg.org/multipage/server-sent-events.html
#pragma once

#include <string>
#include <string_view>

#include "server/http/exchange.h"

namespace quern {

class EventStream {
 public:
  // Comments keep proxies and clients waiting while there is nothing to say.
  explicit EventStream(ServerResponse& response) : response_(response) {
    response_.header("cache-control", "no-cache");
    response_.header("x-accel-buffering", "no");  // nginx: hand on as it comes
    open_ = response_.begin(200, "text/event-stream; charset=utf-8");
    if (open_) response_.while_silent(": waiting\n\n");
  }

  // Each is false when nobody listens any more. `data` is one line, as compact JSON is.
  bool data(std::string_view data) { return put(fmt::format("data: {}\n\n", data)); }
  bool last_data(std::string_view data) { return open_ = open_ && response_.write_last(fmt::format("data: {}\n\n", data)); }
  bool json(const Json& json) { return data(json.dump(Json::Spacing::compact)); }
  bool event(std::string_view name, std::string_view data) { return put(fmt::format("event: {}\ndata: {}\n\n", name, data)); }
  bool json_event(std::string_view name, const Json& json) { return event(name, json.dump(Json::Spacing::compact)); }
  bool last_json_event(std::string_view name, const Json& json) {
    return open_ = open_ && response_.write_last(fmt::format("event: {}\ndata: {}\n\n", name, json.dump(Json::Spacing::compact)));
  }
  bool comment(std::string_view text) { return put(fmt::format(": {}\n\n", text)); }
  bool open() const { return open_; }

 private:
  bool put(const std::string& bytes) { return open_ = open_ && response_.write(bytes); }

  ServerResponse& response_;
  bool open_ = false;
};

}  // namespace quern
