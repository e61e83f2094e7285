// A grammar of any bytes, then (after the first zero byte) bytes walked through its machine: what step() gives goes on to an accepted text.
#include "constrain/grammar_machine.h"
#include "fuzz.h"

using namespace quern;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input = fuzz::text_of(data, size);
  const size_t end = std::min(input.find('\0'), input.size());
  const std::string_view walked = input.substr(std::min(end + 1, input.size()));
  const GrammarMachine::Limits limits{
      .grammar = {.text_bytes = 4096, .rules = 100, .nodes = 1000, .depth = 100, .repetitions = 100},
      .exprs = {.nodes = 5'000, .transition_ranges = 50'000, .search_states = 500},
      .symbols = 2'000,
      .items = 1'000,
      .sets = 2'000,
      .bytes = size_t{4} << 20,
  };
  auto made = GrammarMachine::create(input.substr(0, end), limits);
  if (!fuzz::succeeded(made)) return 0;
  GrammarMachine& machine = **made;
  Machine::State state = machine.start();
  for (size_t i = 0; i < std::min<size_t>(walked.size(), 64); ++i) {
    const auto byte = static_cast<uint8_t>(walked[i]);
    if (const auto next = machine.step(state, byte, walked.substr(0, i))) state = *next;
    if (!fuzz::succeeded(machine.healthy())) return 0;
    bool goes_on = machine.can_end(state, walked.substr(0, i + 1));
    for (int b = 0; b < 256 && !goes_on; ++b)
      goes_on = machine.step(state, static_cast<uint8_t>(b), walked.substr(0, i + 1)).has_value();
    if (!fuzz::succeeded(machine.healthy())) return 0;
    QUERN_CHECK(goes_on, i);
  }
  return 0;
}
