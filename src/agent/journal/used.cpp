#include "agent/journal/used.h"

#include <set>

namespace quern {
namespace {

double number_of(const Json& data, std::string_view key) {
  const Json* value = data.find(key);
  return value && value->is_number() ? value->as_double() : 0;
}
int64_t count_of(const Json& data, std::string_view key) { return static_cast<int64_t>(number_of(data, key)); }
bool flag_of(const Json& data, std::string_view key) {
  const Json* value = data.find(key);
  return value && value->is_bool() && value->as_bool();
}

void add_turn(RunCounts& used, const Json& data, const Prices& prices) {
  const int64_t prompt = count_of(data, "prompt_tokens"), reused = count_of(data, "reused_tokens"), made = count_of(data, "tokens");
  used.prompt_tokens += prompt;
  used.reused_tokens += reused;
  used.tokens += made;
  used.prefill_s += number_of(data, "prefill_s");
  used.decode_s += number_of(data, "decode_s");
  used.cost += prices.of_tokens(prompt - reused, made);
}

void add_result(RunCounts& used, const Json& data, const Prices& prices) {
  const bool malformed = flag_of(data, "malformed"), refused = flag_of(data, "refused");
  used.errors += flag_of(data, "is_error");
  used.malformed += malformed;
  used.refused += refused;
  used.changes += flag_of(data, "changed");
  used.tools_s += number_of(data, "seconds");
  const Json* name = data.find("name");
  if (!malformed && !refused && name && name->is_string()) used.cost += prices.of_call(name->as_string());
}

}  // namespace

RunCounts used_by(std::span<const JournalRecord> records, const Prices& prices) {
  RunCounts used;
  std::set<std::pair<std::string_view, int64_t>> turns, calls;
  for (const JournalRecord& record : records) {
    switch (record.kind) {
      case JournalKind::turn:
        turns.emplace(record.step, record.number);
        add_turn(used, record.data, prices);
        break;
      case JournalKind::result:
        add_result(used, record.data, prices);
        [[fallthrough]];
      case JournalKind::call:
      case JournalKind::decision:
        calls.emplace(record.step, record.number);
        break;
      default:
        break;
    }
  }
  used.turns = static_cast<int64_t>(turns.size());
  used.calls = static_cast<int64_t>(calls.size());
  used.seconds = used.prefill_s + used.decode_s + used.tools_s;
  return used;
}

}  // namespace quern
