#include "agent/events.h"

#include <initializer_list>
#include <utility>

namespace quern {
namespace {

Json object(std::initializer_list<std::pair<std::string_view, Json>> members) {
  Json json = Json::object();
  for (const auto& [name, value] : members) json[name] = value;
  return json;
}

Json strings(const std::vector<std::string>& list) {
  Json json = Json::array();
  for (const std::string& one : list) json.push_back(one);
  return json;
}

Json run_name(const std::string& run) { return run.empty() ? Json() : Json(run); }

Json to_json(const StartEvent& e) {
  return object({{"type", "start"},
                 {"name", e.name},
                 {"task", e.instruction},
                 {"root", e.root},
                 {"tools", strings(e.tools)},
                 {"run", run_name(e.run)}});
}
Json to_json(const ResumeEvent& e) {
  return object({{"type", "resumed"},
                 {"run", e.run},
                 {"turns", e.turns},
                 {"calls", e.calls},
                 {"state", e.state},
                 {"same_prompt", e.same_prompt}});
}
Json to_json(const TurnEvent& e) {
  return object({{"type", "turn"},
                 {"turn", e.turn},
                 {"prompt_tokens", e.prompt_tokens},
                 {"reused_tokens", e.reused_tokens},
                 {"tokens", e.tokens},
                 {"prefill_s", e.prefill_s},
                 {"decode_s", e.decode_s},
                 {"text", e.text}});
}
Json to_json(const SayEvent& e) { return object({{"type", "say"}, {"turn", e.turn}, {"text", e.text}}); }
Json to_json(const CallEvent& e) {
  Json json = object({{"type", "call"}, {"call", e.call}, {"name", e.name}, {"arguments", e.arguments}});
  if (!e.warning.empty()) json["warning"] = e.warning;
  return json;
}
Json to_json(const ConfirmEvent& e) {
  return object({{"type", e.allowed ? "confirmed" : "refused"}, {"call", e.call}, {"reason", e.reason}});
}
Json to_json(const ResultEvent& e) {
  return object({{"type", "result"},
                 {"call", e.call},
                 {"name", e.name},
                 {"text", e.text},
                 {"is_error", e.is_error},
                 {"malformed", e.malformed},
                 {"seconds", e.seconds}});
}
Json to_json(const CheckEvent& e) {
  return object({{"type", "check"}, {"passed", e.passed}, {"output", e.output}, {"seconds", e.seconds}});
}
Json to_json(const StepEvent& e) {
  constexpr std::string_view states[] = {"begun", "done", "failed", "skipped"};
  return object({{"type", "step"},
                 {"step", e.step},
                 {"state", states[static_cast<size_t>(e.state)]},
                 {"text", e.text},
                 {"seconds", e.seconds}});
}
Json to_json(const EndEvent& e) {
  const RunCounts& c = e.counts;
  return object({{"type", "end"},
                 {"status", run_status_name(e.status)},
                 {"reason", e.reason},
                 {"answer", e.answer},
                 {"root", e.root},
                 {"check", e.check_passed ? Json(*e.check_passed ? "passed" : "failed") : Json()},
                 {"turns", c.turns},
                 {"calls", c.calls},
                 {"errors", c.errors},
                 {"malformed", c.malformed},
                 {"refused", c.refused},
                 {"changes", c.changes},
                 {"prompt_tokens", c.prompt_tokens},
                 {"reused_tokens", c.reused_tokens},
                 {"tokens", c.tokens},
                 {"seconds", c.seconds},
                 {"prefill_s", c.prefill_s},
                 {"decode_s", c.decode_s},
                 {"tools_s", c.tools_s},
                 {"retries", c.retries},
                 {"cost", c.cost},
                 {"tokens_per_s", c.tokens_per_s()},
                 {"run", run_name(e.run)}});
}

}  // namespace

std::string_view run_status_name(RunStatus status) {
  constexpr std::string_view names[] = {"success", "failed", "cancelled"};
  return names[static_cast<size_t>(status)];
}

namespace {

// Calls change(x, y) for every count x and the other's y.
template <class Change>
void each_count(RunCounts& x, const RunCounts& y, Change change) {
  for (const auto count :
       {&RunCounts::turns, &RunCounts::calls, &RunCounts::errors, &RunCounts::malformed, &RunCounts::refused, &RunCounts::changes,
        &RunCounts::prompt_tokens, &RunCounts::reused_tokens, &RunCounts::tokens, &RunCounts::retries})
    change(x.*count, y.*count);
  for (const auto amount :
       {&RunCounts::prefill_s, &RunCounts::decode_s, &RunCounts::tools_s, &RunCounts::seconds, &RunCounts::cost})
    change(x.*amount, y.*amount);
}

}  // namespace

RunCounts& RunCounts::operator+=(const RunCounts& more) {
  each_count(*this, more, [](auto& x, auto y) { x += y; });
  return *this;
}

RunCounts RunCounts::operator-(const RunCounts& before) const {
  RunCounts left = *this;
  each_count(left, before, [](auto& x, auto y) { x -= y; });
  return left;
}

Json event_json(const Event& event) {
  return std::visit([](const auto& e) { return to_json(e); }, event);
}

}  // namespace quern
