// Turns the events of a run into the lines of --json, which say more than an event knows of itself: when it happened, with which model, and,
// before the end, which files changed.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "agent/events.h"
#include "agent/report/file_recorder.h"

namespace quern {

class RunRecorder {
 public:
  // Whose model and folder the events are of; both may be set until the start event is given.
  void set_model(std::string model) { model_ = std::move(model); }

  // The event as a line, with "at", seconds since the first one; before the last event a line {"type": "changes", …}, where the run had a
  // folder. To be called as the event happens, and of a call before it is carried out.
  std::vector<Json> lines(const Event& event);

 private:
  Json changes() const;

  std::string model_;
  std::optional<std::chrono::steady_clock::time_point> start_;
  std::optional<FileRecorder> files_;
};

}  // namespace quern
