// A schema of any bytes; where it is enforced, texts that its machine leads through: there is always a way on, and what ends is JSON.
#include <optional>
#include <string>
#include <utility>

#include "base/json.h"
#include "constrain/schema_machine.h"
#include "fuzz.h"

using namespace quern;

namespace {

constexpr size_t kMaxSchema = 4096, kWalks = 2, kMaxText = 300, kMaxDepth = 8;  // of texts: few enough to come to the bound

uint64_t next_random(uint64_t& seed) {
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return seed >> 33;
}

// Some byte that may come next, and the state after it; half of the time rather one that leads out of strings, numbers and containers.
std::optional<std::pair<uint8_t, Machine::State>> choose(SchemaMachine& machine, Machine::State state, std::string_view text,
                                                         uint64_t& seed) {
  const auto offset = next_random(seed), stride = next_random(seed) | 1;  // odd: every byte comes once
  if (next_random(seed) % 2 == 0) {
    constexpr std::string_view kClosing = "\"}],:";
    for (size_t i = 0; i < kClosing.size(); ++i) {
      const auto byte = static_cast<uint8_t>(kClosing[(i + offset) % kClosing.size()]);
      if (const auto next = machine.step(state, byte, text)) return std::pair(byte, *next);
    }
  }
  for (uint64_t i = 0; i < 256; ++i) {
    const auto byte = static_cast<uint8_t>(offset + i * stride);
    if (const auto next = machine.step(state, byte, text)) return std::pair(byte, *next);
  }
  return std::nullopt;
}

void walk(SchemaMachine& machine, size_t max_depth, uint64_t seed) {
  std::string text;
  Machine::State state = machine.start();
  while (text.size() < kMaxText) {
    const bool may_end = machine.can_end(state, text);
    if (may_end && next_random(seed) % 4 == 0) break;
    const auto next = choose(machine, state, text, seed);
    if (!fuzz::succeeded(machine.healthy())) return;
    QUERN_CHECK(next || may_end, text);
    if (!next) break;
    text += static_cast<char>(next->first);
    state = machine.settle(next->second, text);
  }
  if (!machine.can_end(state, text)) return;
  const auto json = Json::parse(text, "text", {.max_depth = max_depth});
  QUERN_CHECK(json.has_value(), text, json.error().message);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > kMaxSchema) return 0;
  const auto schema = Json::parse(fuzz::text_of(data, size), "schema");
  if (!fuzz::succeeded(schema)) return 0;
  Refusal refusal;
  const size_t max_depth = 1 + size % kMaxDepth;
  const auto machine = SchemaMachine::compile(*schema, {.max_depth = max_depth}, refusal);
  if (!machine) {
    QUERN_CHECK(!refusal.path.empty() && !refusal.reason.empty(), refusal.path, refusal.reason);
    return 0;
  }
  uint64_t seed = size;
  for (size_t i = 0; i < size; ++i) seed = seed * 31 + data[i];
  for (size_t i = 0; i < kWalks; ++i) walk(*machine, max_depth, seed + i);
  return 0;
}
