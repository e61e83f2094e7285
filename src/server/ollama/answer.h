// A turn as Ollama's API tells it: lines of JSON while it goes on, or one object at its end.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "server/ollama/request.h"
#include "server/turn.h"

namespace quern {

// Makes the objects of one answer.
class OllamaAnswer {
 public:
  struct Options {
    OllamaCall call = OllamaCall::chat;
    std::string model;     // as the client named it
    bool thinking = true;  // shown; false: left out
    std::function<std::chrono::system_clock::time_point()> now = std::chrono::system_clock::now;
  };
  explicit OllamaAnswer(Options options) : options_(std::move(options)), begun_(options_.now()) {}

  void loaded();  // the model is there; what passed until then is load_duration
  // Objects to send while streaming, in order; the last has done: true.
  std::vector<Json> on(const TurnUpdate& update);
  // The whole of it, when all updates have been taken.
  Json whole() const;
  // The answer to a request that only loads ("load") or unloads ("unload") a model.
  Json nothing(std::string_view done_reason) const;

 private:
  Json head() const;
  Json piece(std::string_view content, std::string_view thinking, Json::Array calls) const;
  void add_call(std::vector<Json>& out);
  Json ended(Json json) const;  // with why, and how long it took

  Options options_;
  std::chrono::system_clock::time_point begun_;
  double load_s_ = 0;
  std::string content_, thinking_;
  Json::Array calls_, logprobs_;
  std::string name_, arguments_;  // of the call that is being made
  bool calling_ = false;
  TurnEnd end_;
  std::chrono::system_clock::time_point ended_;
};

}  // namespace quern
