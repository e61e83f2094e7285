#include "agent/report/run_recorder.h"

#include <cmath>
#include <ctime>

#include "base/clock.h"

namespace quern {
namespace {

std::string local_time() {
  const std::time_t now = std::time(nullptr);
  std::tm broken{};
  if (!::localtime_r(&now, &broken)) return {};
  char text[40];
  return std::string(text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %z", &broken));
}

}  // namespace

std::vector<Json> RunRecorder::lines(const Event& event) {
  if (!start_) start_ = Clock::now();
  const double at = std::chrono::duration<double>(Clock::now() - *start_).count();
  std::vector<Json> lines;
  if (std::holds_alternative<EndEvent>(event) && files_) lines.push_back(changes());
  lines.push_back(event_json(event));
  if (const auto* start = std::get_if<StartEvent>(&event)) {
    if (!model_.empty()) lines.back()["model"] = model_;
    lines.back()["started"] = local_time();
    if (!files_ && !start->root.empty()) files_.emplace(start->root);
  } else if (const auto* call = std::get_if<CallEvent>(&event); call && files_) {
    files_->before_call(call->arguments);
  }
  for (Json& line : lines) line["at"] = std::round(at * 1e4) / 1e4;
  return lines;
}

Json RunRecorder::changes() const {
  Json line = Json::object();
  line["type"] = "changes";
  line["complete"] = files_->complete();
  Json& files = line["files"] = Json::array();
  for (const FileChange& change : files_->changes()) {
    Json file = Json::object();
    file["kind"] = FileChange::kind_name(change.kind);
    file["path"] = change.path;
    if (!change.from.empty()) file["from"] = change.from;
    file["added"] = change.added;
    file["removed"] = change.removed;
    file["diff"] = change.diff;
    if (!change.note.empty()) file["note"] = change.note;
    files.push_back(std::move(file));
  }
  return line;
}

}  // namespace quern
