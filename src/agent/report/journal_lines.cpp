#include "agent/report/journal_lines.h"

#include <ctime>
#include <set>

#include "agent/events.h"
#include "agent/journal/used.h"

namespace quern {
namespace {

bool flag_of(const Json& data, std::string_view key) {
  const Json* value = data.find(key);
  return value && value->is_bool() && value->as_bool();
}
Json member(const Json& data, std::string_view key) {
  const Json* value = data.find(key);
  return value ? *value : Json();
}

std::string local_time(int64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm broken{};
  if (seconds <= 0 || !::localtime_r(&time, &broken)) return {};
  char text[40];
  return std::string(text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %z", &broken));
}

Json event(std::string_view type) {
  Json json = Json::object();
  json["type"] = type;
  return json;
}

// One record as the event it was made of; null for those that are the journal's own business.
Json event_of(const JournalRecord& record) {
  Json json;
  switch (record.kind) {
    case JournalKind::begin:
      if (record.step == "main") return json;
      json = event("step");
      json["step"] = record.step;
      json["state"] = "begun";
      json["text"] = member(record.data, "instruction");
      return json;
    case JournalKind::turn:
      json = record.data;
      json["type"] = "turn";
      json["turn"] = record.number;
      json["text"] = record.text;
      return json;
    case JournalKind::decision:
      json = event(flag_of(record.data, "allowed") ? "confirmed" : "refused");
      json["call"] = record.number;
      json["reason"] = member(record.data, "reason");
      return json;
    case JournalKind::result:
      json = record.data;
      json["type"] = "result";
      json["call"] = record.number;
      json["text"] = record.text;
      return json;
    case JournalKind::check:
      json = event("check");
      json["passed"] = flag_of(record.data, "passed");
      json["output"] = record.text;
      return json;
    case JournalKind::finished:
    case JournalKind::call:  // call_event()
    case JournalKind::output:
    case JournalKind::compaction:
    case JournalKind::checkpoint:
      return json;
  }
  return json;
}

// The call that a decision, its beginning or its result belongs to, whichever was recorded first. What was refused or no valid call has
// no beginning, and so no arguments.
Json call_event(const std::vector<JournalRecord>& records, const JournalRecord& first) {
  Json json = event("call");
  json["call"] = first.number;
  for (const JournalRecord& one : records) {
    if (one.step != first.step || one.number != first.number) continue;
    if (one.kind != JournalKind::call && one.kind != JournalKind::result) continue;
    json["name"] = member(one.data, "name");
    if (one.kind == JournalKind::result) continue;
    json["arguments"] = member(one.data, "arguments");
    break;
  }
  return json;
}

std::string task_text(const Json& task) {
  if (task.is_string()) return task.as_string();
  for (const char* key : {"instruction", "task", "sentence"})
    if (const Json* text = task.find(key); text && text->is_string()) return text->as_string();
  return task.is_null() ? std::string() : task.dump_indented();
}

}  // namespace

Result<RunRecord> record_of_journal(Journal& journal, std::string_view id) {
  QUERN_ASSIGN(const RunSummary run, journal.summary(id));
  QUERN_ASSIGN(const std::vector<JournalRecord> records, journal.records(run.id));
  RunRecord record;
  Json start = event("start");
  start["name"] = run.description.name;
  start["task"] = task_text(run.description.task);
  start["root"] = run.description.root;
  start["started"] = local_time(run.began);
  start["run"] = run.id;
  record.add(start);
  std::set<std::pair<std::string, int64_t>> announced;
  for (const JournalRecord& one : records) {
    const bool of_call = one.kind == JournalKind::call || one.kind == JournalKind::decision || one.kind == JournalKind::result;
    const bool first = of_call && announced.emplace(one.step, one.number).second;
    if (first) record.add(call_event(records, one));
    if (const Json json = event_of(one); !json.is_null()) record.add(json);
  }
  if (run.state != RunState::running && run.state != RunState::interrupted) {
    EndEvent end;
    end.status = run.state == RunState::success  ? RunStatus::success
                 : run.state == RunState::failed ? RunStatus::failed
                                                 : RunStatus::cancelled;
    end.reason = run.reason;
    for (const JournalRecord& one : records)
      if (const Json* answer = one.data.find("answer"); one.kind == JournalKind::finished && answer && answer->is_string())
        end.answer = answer->as_string();
    end.root = run.description.root;
    end.run = run.id;
    end.counts = used_by(records, {});
    record.add(event_json(end));
  }
  return record;
}

}  // namespace quern
