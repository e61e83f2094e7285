#include "agent/report/run_record.h"

#include <algorithm>

namespace quern {
namespace {

constexpr size_t kMostNoteBytes = 2000;

// Members of a line that anybody may have written: of another kind, or missing, they are as good as nothing.
std::string text_of(const Json& event, std::string_view key) {
  const Json* member = event.find(key);
  return member && member->is_string() ? member->as_string() : std::string();
}
bool flag_of(const Json& event, std::string_view key) {
  const Json* member = event.find(key);
  return member && member->is_bool() && member->as_bool();
}
double number_of(const Json& event, std::string_view key) {
  const Json* member = event.find(key);
  const double value = member && member->is_number() ? member->as_double() : 0;
  return value >= 0 && value < 1e12 ? value : 0;
}
int64_t count_of(const Json& event, std::string_view key) { return static_cast<int64_t>(number_of(event, key)); }

// What a thinking model wrote before its answer; its template may have opened the block already.
std::string thinking_of(std::string_view text) {
  const size_t end = text.find("</think>");
  if (end == std::string_view::npos) return {};
  text = text.substr(0, end);
  if (text.starts_with("<think>")) text.remove_prefix(7);
  const size_t first = text.find_first_not_of(" \n"), last = text.find_last_not_of(" \n");
  return first == std::string_view::npos ? std::string() : std::string(text.substr(first, last - first + 1));
}

FileChange::Kind change_kind(std::string_view name) {
  for (const auto kind : {FileChange::Kind::added, FileChange::Kind::removed, FileChange::Kind::moved})
    if (name == FileChange::kind_name(kind)) return kind;
  return FileChange::Kind::changed;
}

}  // namespace

Result<RunRecord> RunRecord::from_lines(std::string_view text, std::string_view where) {
  RunRecord record;
  for (int64_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const auto event = Json::parse(line, fmt::format("{}: line {}", where, number));
    if (!event) {
      if (end == std::string_view::npos && record.has_start_) break;
      return tl::unexpected(event.error());
    }
    if (!event->is_object() || text_of(*event, "type").empty())
      return fail(Errc::malformed, "{}: line {}: expected an event of `quern run --json`: {{\"type\": …}}", where, number);
    record.add(*event);
  }
  if (!record.has_start_) return fail(Errc::malformed, "{}: there is no start event in it", where);
  return record;
}

void RunRecord::add(const Json& event) {
  const std::string type = text_of(event, "type");
  last_ = at_;
  if (event.find("at")) at_ = std::max(at_, number_of(event, "at"));
  if (type == "start")
    add_start(event);
  else if (type == "turn")
    add_turn(event);
  else if (type == "say")
    entries.push_back({.kind = RunEntry::Kind::say, .text = text_of(event, "text")});
  else if (type == "call")
    add_call(event);
  else if (type == "confirmed" || type == "refused")
    add_decision(event, type == "confirmed");
  else if (type == "result")
    add_result(event);
  else if (type == "check")
    add_check(event);
  else if (type == "step")
    add_step(event);
  else if (type == "changes")
    add_changes(event);
  else if (type == "end")
    row_of_turn("answer"), end = event;
  else
    add_note(event, type);
  seconds = std::max(seconds, at_);
  if (type == "end") seconds = std::max(seconds, number_of(event, "seconds"));
}

void RunRecord::add_start(const Json& event) {
  row_of_turn("answer");
  if (std::exchange(has_start_, true)) {
    entries.push_back({.kind = RunEntry::Kind::part, .text = text_of(event, "name") + "\n" + text_of(event, "task")});
    return;
  }
  name = text_of(event, "name");
  task = text_of(event, "task");
  root = text_of(event, "root");
  model = text_of(event, "model");
  started = text_of(event, "started");
}

// A span that ends now, where events say when they happened, and follows the last one where they do not.
RunSpan RunRecord::span(RunSpan::Kind kind, double length, double span_end) {
  const RunSpan span{kind, std::max(0.0, span_end - length), std::max(0.0, span_end)};
  seconds_of[static_cast<size_t>(kind)] += length;
  return span;
}

void RunRecord::add_turn(const Json& event) {
  row_of_turn(fmt::format("turn {}", count_of(event, "turn") - 1));
  const double reading = number_of(event, "prefill_s"), writing = number_of(event, "decode_s");
  if (!event.find("at")) at_ += reading + writing;
  pending_ = {span(RunSpan::Kind::reading, reading, at_ - writing), span(RunSpan::Kind::writing, writing, at_)};
  pending_tokens_ = count_of(event, "tokens");
  if (std::string thinking = thinking_of(text_of(event, "text")); !thinking.empty())
    entries.push_back({.kind = RunEntry::Kind::thinking, .text = std::move(thinking)});
}

// The time of a turn without a call has a row of its own.
void RunRecord::row_of_turn(std::string label) {
  if (!pending_.empty()) rows.push_back({std::move(label), std::nullopt, std::exchange(pending_, {})});
}

void RunRecord::add_call(const Json& event) {
  RunCall call;
  call.number = count_of(event, "call");
  call.name = text_of(event, "name");
  call.warning = text_of(event, "warning");
  if (const Json* arguments = event.find("arguments")) call.arguments = *arguments;
  call.tokens = std::exchange(pending_tokens_, 0);
  rows.push_back({call.name.empty() ? "(no call)" : call.name, calls.size(), std::exchange(pending_, {})});
  entries.push_back({.kind = RunEntry::Kind::call, .text = {}, .call = calls.size()});
  calls.push_back(std::move(call));
}

void RunRecord::add_decision(const Json& event, bool allowed) {
  if (calls.empty()) return;
  const double waited = event.find("at") ? at_ - last_ : 0;
  calls.back().decisions.push_back({allowed, text_of(event, "reason"), waited});
  if (waited > 0) rows.back().spans.push_back(span(RunSpan::Kind::waiting, waited, at_));
}

void RunRecord::add_result(const Json& event) {
  if (calls.empty()) return;
  RunCall& call = calls.back();
  call.has_result = true;
  call.result = text_of(event, "text");
  call.is_error = flag_of(event, "is_error");
  call.malformed = flag_of(event, "malformed");
  call.seconds = number_of(event, "seconds");
  if (!event.find("at")) at_ += call.seconds;
  rows.back().spans.push_back(span(RunSpan::Kind::tool, call.seconds, at_));
}

void RunRecord::add_check(const Json& event) {
  const double length = number_of(event, "seconds");
  row_of_turn("answer");
  if (!event.find("at")) at_ += length;
  rows.push_back({"check", std::nullopt, {span(RunSpan::Kind::check, length, at_)}});
  entries.push_back({.kind = RunEntry::Kind::check, .text = text_of(event, "output"), .passed = flag_of(event, "passed")});
}

void RunRecord::add_step(const Json& event) {
  row_of_turn("answer");
  const std::string step = text_of(event, "step"), state = text_of(event, "state"), text = text_of(event, "text");
  if (state == "begun")
    entries.push_back({.kind = RunEntry::Kind::part, .text = step + "\n" + text});
  else
    entries.push_back({.kind = RunEntry::Kind::note,
                       .text = fmt::format("{}: {} after {:.1f} s{}{}", step, state, number_of(event, "seconds"),
                                           text.empty() ? "" : ": ", text)});
}

void RunRecord::add_changes(const Json& event) {
  changes_recorded = true;
  if (const Json* complete = event.find("complete"); complete && complete->is_bool()) changes_complete = complete->as_bool();
  const Json* files = event.find("files");
  if (!files || !files->is_array()) return;
  for (const Json& file : files->as_array())
    changes.push_back({.kind = change_kind(text_of(file, "kind")),
                       .path = text_of(file, "path"),
                       .from = text_of(file, "from"),
                       .diff = text_of(file, "diff"),
                       .added = count_of(file, "added"),
                       .removed = count_of(file, "removed"),
                       .note = text_of(file, "note")});
}

void RunRecord::add_note(const Json& event, std::string_view type) {
  std::string text(type);
  for (const auto& [key, value] : event.as_object())
    if (key != "type" && key != "at") text += fmt::format("\n{}: {}", key, value.is_string() ? value.as_string() : value.dump());
  if (text.size() > kMostNoteBytes) text = text.substr(0, kMostNoteBytes) + "…";
  entries.push_back({.kind = RunEntry::Kind::note, .text = std::move(text)});
}

}  // namespace quern
