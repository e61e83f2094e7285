#include "constrain/xml_arguments.h"

#include <algorithm>

#include "base/check.h"
#include "constrain/unicode_class.h"

namespace quern {
namespace {

constexpr std::string_view kOpen = "<parameter=", kClose = "</function>";

// What can be spelled, as a schema: so what cannot is taken out wherever the schema would admit it, and a call that would need it is
// refused like any other without values.
Json spellable() {
  static constexpr std::string_view kSchema = R"({
    "type": "object",
    "propertyNames": {"pattern": "^[^<>\\u0000-\\u001f]+$"},
    "additionalProperties": {"not": {"type": "string", "pattern": "^</parameter>|\\n</parameter>"}}
  })";
  return Json::parse(kSchema, "spellable").value();
}

// Words and numbers as lenient readers (Python's) know them, with white space around.
class Readable {
 public:
  explicit Readable(Exprs& exprs)
      : exprs_(exprs), space_(exprs.star(exprs.chars(unicode_white_space() | CharSet({{0x1C, 0x1F}})))) {}

  ExprId words(std::initializer_list<std::string_view> lower_case) {
    std::vector<ExprId> out;
    for (const std::string_view word : lower_case) {
      ExprId e = Exprs::kEmpty;
      for (const char c : word) {
        const auto lower = static_cast<char32_t>(c);
        const char32_t upper = lower - 0x20;
        e = exprs_.concat(e, exprs_.chars(CharSet({{lower, lower}, {upper, upper}})));
      }
      out.push_back(e);
    }
    return exprs_.concat({space_, exprs_.any_of(std::move(out)), space_});
  }
  ExprId numbers() {
    const ExprId digit = exprs_.chars(CharSet({{'0', '9'}})), point = exprs_.literal(".");
    const ExprId sign = exprs_.optional(exprs_.chars(CharSet({{'+', '+'}, {'-', '-'}})));
    const ExprId digits = exprs_.concat(digit, exprs_.star(exprs_.chars(CharSet({{'0', '9'}, {'_', '_'}}))));
    const ExprId mantissa = exprs_.any_of(exprs_.concat(point, digits),
                                          exprs_.concat(digits, exprs_.optional(exprs_.concat(point, exprs_.optional(digits)))));
    const ExprId exponent = exprs_.concat({exprs_.chars(CharSet({{'e', 'e'}, {'E', 'E'}})), sign, digits});
    const ExprId number = exprs_.any_of(exprs_.concat(mantissa, exprs_.optional(exponent)), words({"inf", "infinity", "nan"}));
    return exprs_.concat({space_, sign, number, space_});
  }
  ExprId beginning(std::string_view bracket) { return exprs_.concat({space_, exprs_.literal(bracket), Exprs::kAll}); }

 private:
  Exprs& exprs_;
  ExprId space_;
};

}  // namespace

uint64_t XmlArguments::Hash::operator()(const Frame& f) const {
  HashMix h;
  h.add(f.names);
  add_threads(h, f.threads);
  return h.value();
}
uint64_t XmlArguments::Hash::operator()(const Control& c) const {
  HashMix h;
  h.add((static_cast<uint64_t>(c.frame) << 32) | c.pending);
  h.add((static_cast<uint64_t>(c.phase) << 33) | (c.named ? uint64_t{1} << 32 : 0) | c.at);
  return h.value();
}
uint64_t XmlArguments::Hash::operator()(const Names& n) const {
  HashMix h;
  for (const std::string& name : n) h.add(std::hash<std::string>{}(name));
  return h.value();
}

XmlArguments::XmlArguments(std::unique_ptr<SchemaMachine> json, std::shared_ptr<Languages> languages)
    : languages_(std::move(languages)), json_(std::move(json)), shapes_(json_->shapes()) {
  name_lists_.id({});
}

std::unique_ptr<XmlArguments> XmlArguments::compile(Json schema, SchemaMachineOptions options, Refusal& refusal) {
  if (!options.languages) options.languages = std::make_shared<Languages>();
  options.also = spellable();
  auto json = SchemaMachine::compile(std::move(schema), options, refusal);
  if (!json) return nullptr;
  return std::unique_ptr<XmlArguments>(new XmlArguments(std::move(json), options.languages));
}

Machine::State XmlArguments::start() {
  Frame frame;
  for (const ObjectShape* o : shapes_.shape(json_->root()).objects)
    if (const auto thread = shapes_.start(*o, 0, shapes_.room())) frame.threads.push_back(*thread);
  std::sort(frame.threads.begin(), frame.threads.end());
  return at({.phase = Phase::tag, .frame = frames_.id(frame)});
}

std::optional<uint64_t> XmlArguments::key(State state) {
  const Control& c = controls_[state.control];
  if (c.phase == Phase::name || c.named) return std::nullopt;  // what follows a name depends on its text
  if (c.phase == Phase::json && !json_->key({c.at, state.lex, state.mark})) return std::nullopt;
  return Machine::key(state);
}

Result<void> XmlArguments::healthy() const { return json_->healthy(); }

size_t XmlArguments::bytes() const {
  return json_->bytes() + frames_.size() * 150 + pendings_.size() * 150 + controls_.size() * 80 + name_lists_.size() * 150 +
         (name_lexemes_.size() + value_lexemes_.size()) * 60;
}

XmlArguments::Part XmlArguments::part(State state) {
  const Control& c = controls_[state.control];
  switch (c.phase) {
    case Phase::name:
      return Part::name;
    case Phase::json:
      return Part::json;
    case Phase::value: {
      const auto parts = languages_->lexer.parts(state.lex);
      const auto middle = parts.begin() + static_cast<std::ptrdiff_t>(parts.size() / 2);
      const auto live = [](ExprId e) { return e != Exprs::kNothing; };
      if (!std::any_of(middle, parts.end(), live)) return Part::raw_string;
      return std::any_of(parts.begin(), middle, live) ? Part::value : Part::scalar;
    }
    case Phase::begin:
      return c.at == 0 ? Part::tags : Part::value;
    case Phase::tag:
    case Phase::open:
    case Phase::end:
    case Phase::close:
    case Phase::done:
      break;
  }
  return Part::tags;
}

std::optional<Machine::State> XmlArguments::step(State state, uint8_t byte, std::string_view text) {
  if (state.lex != 0) {
    const uint32_t next = languages_->lexer.next(state.lex, byte);
    if (next != Lexer::kDead && next != Lexer::kEnd) return State{state.control, next, state.mark};
  }
  Control c = controls_[state.control];
  const auto spell = [&](std::string_view tag) { return static_cast<uint8_t>(tag[c.at]) == byte && ++c.at < tag.size(); };
  switch (c.phase) {
    case Phase::tag:
      return tag(c, byte);
    case Phase::open:
      if (static_cast<uint8_t>(kOpen[c.at]) != byte) return std::nullopt;
      if (++c.at < kOpen.size()) return at(c);
      return at({.phase = Phase::name, .frame = c.frame}, names_lexeme(c.frame), text.size() + 1);
    case Phase::name:
      if (byte != '>' || !languages_->lexer.accepts(state.lex)) return std::nullopt;
      return end_name(c, state.mark, text);
    case Phase::begin:
      if (c.at == 1) return begin_value(c.named ? with_name(c, state.mark, text) : c, byte, text);
      if (byte != '\n') return std::nullopt;
      c.at = 1;
      return at(c, 0, state.mark);
    case Phase::value: {
      if (byte != static_cast<uint8_t>(kValueEnd.back()) || !languages_->lexer.accepts(state.lex)) return std::nullopt;
      const size_t num_slots = languages_->lexer.parts(state.lex).size() / 2;
      std::vector<bool> satisfied(num_slots);
      for (size_t i = 0; i < num_slots; ++i)
        satisfied[i] = languages_->lexer.accepts(state.lex, i) || languages_->lexer.accepts(state.lex, num_slots + i);
      return end_value(c, satisfied, Phase::tag);
    }
    case Phase::json: {
      const auto next = json_->step({c.at, state.lex, state.mark}, byte, text);
      if (!next) return std::nullopt;
      if (json_->can_end(*next, text)) return end_value(c, json_->satisfied(*next, pendings_[c.pending].slots.size()), Phase::end);
      c.at = next->control;
      return at(c, next->lex, next->mark);
    }
    case Phase::end:
      if (spell(kValueEnd)) return at(c);
      return c.at == kValueEnd.size() ? std::optional(at({.phase = Phase::tag, .frame = c.frame})) : std::nullopt;
    case Phase::close:
      if (spell(kClose)) return at(c);
      return c.at == kClose.size() ? std::optional(at({.phase = Phase::done})) : std::nullopt;
    case Phase::done:
      break;
  }
  return std::nullopt;
}

std::optional<Machine::State> XmlArguments::tag(const Control& control, uint8_t byte) {
  if (control.at == 0)
    return byte == '<' ? std::optional(at({.phase = Phase::tag, .frame = control.frame, .at = 1})) : std::nullopt;
  Frame frame = frames_[control.frame];
  if (byte == '/') {
    const bool may_close =
        std::any_of(frame.threads.begin(), frame.threads.end(), [&](const Thread& t) { return shapes_.may_close(t); });
    return may_close ? std::optional(at({.phase = Phase::close, .at = 2})) : std::nullopt;
  }
  std::erase_if(frame.threads, [&](const Thread& t) { return !shapes_.may_go_on(t); });
  const Id going_on = frames_.id(frame);
  if (byte != 'p' || names_lexeme(going_on) == Lexer::kDead) return std::nullopt;
  return at({.phase = Phase::open, .frame = going_on, .at = 2});
}

// The names that may come, without those already there.
uint32_t XmlArguments::names_lexeme(Id frame_id) {
  if (const auto known = name_lexemes_.find(frame_id); known != name_lexemes_.end()) return known->second;
  const Frame& frame = frames_[frame_id];
  std::vector<ExprId> parts;
  for (const Thread& t : frame.threads) parts.push_back(shapes_.key_language(t));
  Exprs& exprs = languages_->exprs;
  const ExprId names = exprs.without(exprs.any_of(std::move(parts)), exprs.literals(name_lists_[frame.names]));
  return name_lexemes_[frame_id] = languages_->lexer.start(Lexer::Coding::text, std::span(&names, 1));
}

std::optional<Machine::State> XmlArguments::end_name(const Control& control, size_t mark, std::string_view text) {
  Frame frame = frames_[control.frame];
  std::vector<Step> steps;
  for (const Thread& t : frame.threads) shapes_.take_key(t, text.substr(mark), steps);
  if (steps.empty()) return std::nullopt;
  const auto asks = [](const Thread& t) { return !t.object->classes.empty(); };
  const bool named = std::any_of(frame.threads.begin(), frame.threads.end(), asks);
  frame.threads.clear();
  const Control next{.phase = Phase::begin, .named = named, .frame = frames_.id(frame), .pending = pendings_.id(group(steps))};
  return at(next, 0, named ? mark : 0);
}

XmlArguments::Control XmlArguments::with_name(const Control& control, size_t mark, std::string_view text) {
  Frame frame = frames_[control.frame];
  Names names = name_lists_[frame.names];
  const std::string_view name = text.substr(mark, text.find('>', mark) - mark);
  names.insert(std::lower_bound(names.begin(), names.end(), name), std::string(name));
  frame.names = name_lists_.id(names);
  Control out = control;
  out.named = false;
  out.frame = frames_.id(frame);
  return out;
}

Machine::State XmlArguments::settle(State state, std::string_view text) {
  const Control c = controls_[state.control];
  if (c.named) return at(with_name(c, state.mark, text));
  if (c.phase != Phase::json) return state;
  const State own = json_->settle({c.at, state.lex, state.mark}, text);
  return at({.phase = Phase::json, .frame = c.frame, .pending = c.pending, .at = own.control}, own.lex, own.mark);
}

std::optional<Machine::State> XmlArguments::begin_value(const Control& control, uint8_t byte, std::string_view text) {
  if (byte == '{' || byte == '[') {
    std::vector<GoalId> goals;
    for (const Slot& slot : pendings_[control.pending].slots) goals.push_back(slot.goal);
    if (const auto next = json_->step(json_->start(goals, pendings_[control.pending].slots.front().room()), byte, text))
      return at({.phase = Phase::json, .frame = control.frame, .pending = control.pending, .at = next->control}, next->lex,
                next->mark);
  }
  uint32_t lex = value_lexeme(control.pending);
  if (lex != Lexer::kDead) lex = languages_->lexer.next(lex, byte);
  if (lex == Lexer::kDead) return std::nullopt;
  return at({.phase = Phase::value, .frame = control.frame, .pending = control.pending}, lex);
}

uint32_t XmlArguments::value_lexeme(Id pending_id) {
  if (const auto known = value_lexemes_.find(pending_id); known != value_lexemes_.end()) return known->second;
  const Pending pending = pendings_[pending_id];
  Exprs& exprs = languages_->exprs;
  const ExprId end = exprs.literal(kValueEnd.substr(0, kValueEnd.size() - 1));
  std::vector<ExprId> scalars;
  for (const Slot& slot : pending.slots) scalars.push_back(shapes_.shape(slot.goal).bare);
  const ExprId taken = readable(pending, exprs.any_of(scalars));
  std::vector<ExprId> parts;
  for (const Slot& slot : pending.slots) parts.push_back(exprs.concat(exprs.without(shapes_.shape(slot.goal).strings, taken), end));
  for (const ExprId e : scalars) parts.push_back(exprs.concat(e, end));
  return value_lexemes_[pending_id] = languages_->lexer.start(Lexer::Coding::text, parts);
}

ExprId XmlArguments::readable(const Pending& pending, ExprId scalars) {
  Exprs& exprs = languages_->exprs;
  Readable as(exprs);
  std::vector<ExprId> out{scalars};
  const ExprId words = exprs.literals({"null", "true", "false"});
  if (exprs.matches(scalars, "null")) out.push_back(as.words({"null", "none"}));
  if (exprs.matches(scalars, "true") || exprs.matches(scalars, "false")) out.push_back(as.words({"true", "false"}));
  if (exprs.live(exprs.without(scalars, words))) out.push_back(as.numbers());
  bool arrays = false, objects = false;
  for (const Slot& slot : pending.slots) {
    const SchemaShapes::Shape& shape = shapes_.shape(slot.goal);
    for (const ArrayShape* a : shape.arrays) arrays |= shapes_.start(*a, 0, slot.room()).has_value();
    for (const ObjectShape* o : shape.objects) objects |= shapes_.start(*o, 0, slot.room()).has_value();
  }
  if (arrays) out.push_back(as.beginning("["));
  if (objects) out.push_back(as.beginning("{"));
  return exprs.any_of(std::move(out));
}

std::optional<Machine::State> XmlArguments::end_value(const Control& control, const std::vector<bool>& satisfied, Phase behind) {
  Frame frame = frames_[control.frame];
  const Pending& pending = pendings_[control.pending];
  for (size_t i = 0; i < satisfied.size(); ++i)
    if (satisfied[i]) frame.threads.insert(frame.threads.end(), pending.slots[i].next.begin(), pending.slots[i].next.end());
  if (frame.threads.empty()) return std::nullopt;
  sort_threads(frame.threads);
  return at({.phase = behind, .frame = frames_.id(frame)});
}

}  // namespace quern
