#include "constrain/turn_reader.h"

#include <algorithm>

#include "base/utf8.h"

namespace quern {
namespace {

constexpr std::string_view kSpaces = " \t\r\n";

// How much of `text` cannot be a part of `closer`, whose beginning may stand at its end, nor of a character that is not whole yet.
size_t certain(std::string_view text, std::string_view closer) {
  for (size_t n = closer.empty() ? 0 : std::min(text.size(), closer.size() - 1); n > 0; --n)
    if (text.ends_with(closer.substr(0, n))) return text.size() - n;
  return complete_utf8_prefix(text);
}

bool is_value(TurnMachine::Part part) {
  using enum TurnMachine::Part;
  return part == parameter_value || part == raw_string || part == scalar;
}

bool is_arguments(TurnMachine::Part part) {
  using enum TurnMachine::Part;
  return part == json || part == parameter_tags || part == parameter_name || is_value(part);
}

}  // namespace

TurnReader::TurnReader(TurnMachine& machine) : machine_(machine), state_(machine.start()) {}

Result<void> TurnReader::read(std::string_view bytes, std::vector<TurnPiece>& events) {
  events_ = &events;
  first_event_ = events.size();
  for (const char byte : bytes) {
    const auto next = machine_.step(state_, static_cast<uint8_t>(byte), text_);
    if (!next) return fail(Errc::malformed, "turn: byte {} goes on in a way that its constraint excludes", text_.size());
    const Place before = machine_.place(state_), after = machine_.place(*next);
    text_ += byte;
    state_ = *next;
    take(before, after, byte);
  }
  state_ = machine_.settle(state_, text_);
  return {};
}

void TurnReader::finish(std::vector<TurnPiece>& events) {
  events_ = &events;
  first_event_ = events.size();
  const Part part = machine_.place(state_).part;
  held_.resize(complete_utf8_prefix(held_));
  if (part == Part::reasoning) say(TurnPiece::Kind::reasoning, std::exchange(held_, {}));
  if (part == Part::text) say(TurnPiece::Kind::content, std::exchange(held_, {}));
  if (part == Part::text && calls_.empty() && !reasoned_) add(TurnPiece::Kind::content, std::exchange(spaces_, {}));
}

bool TurnReader::inside_call() const {
  const Part part = machine_.place(state_).part;
  return part == Part::opening || part == Part::closing || is_arguments(part);
}

// A byte belongs to the part it was read in. Those of a closer are known as such only when the last one leads out of the part.
void TurnReader::take(const Place& before, const Place& after, char byte) {
  const bool leaves = after.part != before.part;
  switch (before.part) {
    case Part::reasoning:
    case Part::text: {
      held_ += byte;
      if (leaves) held_.resize(held_.size() - before.closer.size());
      const auto kind = before.part == Part::text ? TurnPiece::Kind::content : TurnPiece::Kind::reasoning;
      say(kind, leaves ? std::exchange(held_, {}) : release(before.closer));
      if (leaves && before.part == Part::reasoning) {
        spaces_.clear();
        said_ = false;
        reasoned_ = true;
      }
      break;
    }
    case Part::gap:
    case Part::opening:
    case Part::parameter_tags:
      break;
    case Part::json:
      held_ += byte;
      arguments(release({}));
      break;
    case Part::parameter_name:
      if (!leaves) {
        held_ += byte;
        break;
      }
      arguments(parameters_++ > 0 ? ", " : "");
      arguments(Json(std::exchange(held_, {})).dump() + ": ");
      break;
    case Part::parameter_value:
    case Part::raw_string:
    case Part::scalar:
      take_value(before, after, byte);
      break;
    case Part::closing:
      if (!leaves) break;
      add(TurnPiece::Kind::call_end, {});
      calls_.push_back(std::exchange(call_, {}));
      break;
  }
  const bool braces = machine_.format() == CallFormat::xml;
  if (is_arguments(after.part) && !is_arguments(before.part)) {
    call_.name = machine_.tool_name(after.tool);
    parameters_ = 0;
    add(TurnPiece::Kind::call_begin, call_.name);
    if (braces) arguments("{");
  } else if (is_arguments(before.part) && !is_arguments(after.part) && braces) {
    arguments("}");
  }
}

void TurnReader::take_value(const Place& before, const Place& after, char byte) {
  held_ += byte;
  if (after.part == Part::parameter_value) return;
  if (after.part == Part::json) return arguments(release({}));  // its first byte
  const bool leaves = !is_value(after.part);
  if (leaves) held_.resize(held_.size() - before.closer.size());
  const std::string piece = leaves ? std::exchange(held_, {}) : release(before.closer);
  if ((leaves ? before.part : after.part) == Part::scalar) return arguments(piece);
  std::string quoted;
  append_json_string(quoted, piece);
  if (!piece.empty() || leaves) {
    arguments(std::string_view(quoted).substr(in_string_ ? 1 : 0, quoted.size() - (in_string_ ? 2 : 1)));
    in_string_ = true;
  }
  if (leaves) {
    arguments("\"");
    in_string_ = false;
  }
}

// Takes what is certain out of held_.
std::string TurnReader::release(std::string_view closer) {
  const size_t n = certain(held_, closer);
  std::string out = held_.substr(0, n);
  held_.erase(0, n);
  return out;
}

void TurnReader::say(TurnPiece::Kind kind, std::string_view text) {
  spaces_ += text;
  size_t begin = 0;
  const bool leading_counts = kind == TurnPiece::Kind::content && !reasoned_ && calls_.empty();
  if (!said_ && !leading_counts) begin = std::min(spaces_.find_first_not_of(kSpaces), spaces_.size());
  const size_t last = spaces_.find_last_not_of(kSpaces);
  const size_t end = last == std::string::npos ? begin : last + 1;
  add(kind, std::string_view(spaces_).substr(begin, end - begin));
  said_ = said_ || end > begin;
  spaces_.erase(0, end);
}

void TurnReader::arguments(std::string_view json) {
  call_.arguments += json;
  add(TurnPiece::Kind::arguments, json);
}

void TurnReader::add(TurnPiece::Kind kind, std::string_view text) {
  const bool is_mark = kind == TurnPiece::Kind::call_begin || kind == TurnPiece::Kind::call_end;
  if (text.empty() && !is_mark) return;
  if (!is_mark && events_->size() > first_event_ && events_->back().kind == kind) {
    events_->back().text += text;
    return;
  }
  events_->push_back({.kind = kind, .text = std::string(text), .call = calls_.size()});
}

}  // namespace quern
