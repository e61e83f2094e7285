// A byte of options, tools of any JSON, then (after the first zero byte) bytes walked through their turns, those that are refused left out:
// what step() gives goes on to an accepted text, and what the reader calls a call is one.
#include "constrain/turn_reader.h"
#include "fuzz.h"

using namespace quern;

namespace {

TurnOptions options_of(uint8_t bits, const Json& tools) {
  TurnOptions options;
  if (tools.is_array()) options.tools.assign(tools.as_array().begin(), tools.as_array().end());
  options.format = (bits & 1) != 0 ? CallFormat::xml : CallFormat::hermes;
  options.thinking = (bits & 2) != 0;
  options.parallel_calls = (bits & 4) != 0;
  options.choice.kind = (bits & 8) != 0 ? ToolChoice::Kind::required : ToolChoice::Kind::automatic;
  return options;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0 || size > 4096) return 0;
  const std::string_view input = fuzz::text_of(data + 1, size - 1);
  const size_t end = std::min(input.find('\0'), input.size());
  const std::string_view walked = input.substr(std::min(end + 1, input.size()));
  const auto tools = Json::parse(input.substr(0, end), "tools");
  if (!fuzz::succeeded(tools)) return 0;
  const auto made = compile_turn(options_of(data[0], *tools));
  if (!fuzz::succeeded(made)) return 0;
  TurnMachine& machine = **made;
  TurnReader reader(machine);
  std::vector<TurnPiece> events;
  Machine::State state = machine.start();
  std::string text;
  for (const char byte : walked) {
    const auto next = machine.step(state, static_cast<uint8_t>(byte), text);
    if (!fuzz::succeeded(machine.healthy())) return 0;
    if (!next) continue;
    text += byte;
    state = machine.settle(*next, text);
    QUERN_CHECK(fuzz::succeeded(reader.read(std::string_view(&byte, 1), events)), text);
  }
  bool goes_on = machine.can_end(state, text);
  for (int b = 0; b < 256 && !goes_on; ++b) goes_on = machine.step(state, static_cast<uint8_t>(b), text).has_value();
  if (!fuzz::succeeded(machine.healthy())) return 0;
  QUERN_CHECK(goes_on, text);
  reader.finish(events);
  std::string arguments;
  size_t calls = 0;
  for (const TurnPiece& event : events) {
    if (event.kind == TurnPiece::Kind::call_begin) arguments.clear();
    if (event.kind == TurnPiece::Kind::arguments) arguments += event.text;
    if (event.kind != TurnPiece::Kind::call_end) continue;
    QUERN_CHECK(arguments == reader.calls().at(calls++).arguments, arguments);
  }
  QUERN_CHECK(calls == reader.calls().size() && reader.inside_call() <= !machine.can_end(state, text), calls);
  return 0;
}
