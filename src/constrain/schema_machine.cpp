#include "constrain/schema_machine.h"

#include <algorithm>

namespace quern {

void SchemaMachine::Hash::add(HashMix& h, const std::vector<Thread>& threads) {
  for (const Thread& t : threads) {
    h.add(reinterpret_cast<uintptr_t>(t.object) ^ reinterpret_cast<uintptr_t>(t.array));
    h.add((static_cast<uint64_t>(t.slot) << 32) ^ t.a);
    h.add(static_cast<uint64_t>(t.b) ^ (static_cast<uint64_t>(t.c) << 32));
  }
}
uint64_t SchemaMachine::Hash::operator()(const Pending& p) const {
  HashMix h;
  for (const Slot& s : p.slots) {
    h.add(static_cast<uint64_t>(s.goal));
    add(h, s.next);
  }
  return h.value();
}
uint64_t SchemaMachine::Hash::operator()(const Frame& f) const {
  HashMix h;
  h.add((static_cast<uint64_t>(f.parent) << 32) | f.above);
  h.add((static_cast<uint64_t>(f.names) << 32) | f.value_start);
  h.add(static_cast<uint64_t>(f.kind));
  add(h, f.threads);
  return h.value();
}
uint64_t SchemaMachine::Hash::operator()(const Control& c) const {
  HashMix h;
  h.add((static_cast<uint64_t>(c.frame) << 32) | c.pending);
  h.add(static_cast<uint64_t>(c.phase) << 2 | static_cast<uint64_t>(c.space) << 1 | static_cast<uint64_t>(c.close));
  return h.value();
}

SchemaMachine::SchemaMachine(Json schema, const SchemaMachineOptions& options, Refusal& refusal) : lexer_(exprs_), options_(options) {
  document_ = std::make_unique<SchemaDocument>(std::move(schema), refusal);
  if (!refusal.reason.empty()) return;
  algebra_ = std::make_unique<SchemaAlgebra>(*document_, exprs_, options.schema);
  shapes_ = std::make_unique<SchemaShapes>(*algebra_);
  root_ = algebra_->goal({document_->root()});
  shapes_->check_all(root_);
  if (const Refusal* why = algebra_->refusal()) {
    refusal = *why;
  } else if (exprs_.exhausted()) {
    refusal = {"#", "too large to compile", false};
  } else if (!shapes_->satisfiable(root_)) {
    refusal = {"#", "no value satisfies this schema", false};
  }
  name_lists_.push_back({0, 0});
  frames_.id({});
  text_matters_ = shapes_->text_matters();
}

SchemaMachine::~SchemaMachine() = default;

std::unique_ptr<SchemaMachine> SchemaMachine::compile(Json schema, const SchemaMachineOptions& options, Refusal& refusal) {
  std::unique_ptr<SchemaMachine> machine(new SchemaMachine(std::move(schema), options, refusal));
  return refusal.reason.empty() ? std::move(machine) : nullptr;
}

Machine::State SchemaMachine::start() {
  const Pending root{{Slot{.goal = root_, .next = {Thread{}}}}};
  return at({.phase = Phase::value, .frame = 0, .pending = pendings_.id(root)});
}

std::optional<uint64_t> SchemaMachine::key(State state) {
  // A name's further way depends on its text, which equal lexer states do not tell.
  if (text_matters_ || controls_[state.control].phase == Phase::key) return std::nullopt;
  return (static_cast<uint64_t>(state.control) << 32) | state.lex;
}

Result<void> SchemaMachine::healthy() const {
  if (exprs_.exhausted() || bytes() > options_.max_bytes)
    return fail(Errc::out_of_range, "the constraint needs more than {} MiB of memory", options_.max_bytes >> 20);
  if (const Refusal* why = algebra_->refusal()) return fail(Errc::unsupported, "{}: {}", why->path, why->reason);
  return {};
}

size_t SchemaMachine::bytes() const {
  return exprs_.bytes() + lexer_.bytes() + shapes_->size() * 200 + algebra_->num_goals() * 400 + pendings_.size() * 250 +
         frames_.size() * 250 + controls_.size() * 80 + names_.size() * 80 + name_lists_.size() * 60 + steps_.size() * 60;
}

bool SchemaMachine::can_end(State state, std::string_view) {
  const Control& c = controls_[state.control];
  return c.phase == Phase::done || (c.phase == Phase::bare && c.frame == 0 && lexer_.accepts(state.lex));
}

std::optional<Machine::State> SchemaMachine::step(State state, uint8_t byte, std::string_view text) {
  if (state.lex == 0) return structural(state.control, byte, text);
  const uint32_t next = lexer_.next(state.lex, byte);
  if (next != Lexer::kDead && next != Lexer::kEnd) return State{state.control, next, state.mark};
  const Control control = controls_[state.control];
  if (next == Lexer::kEnd && control.phase == Phase::key) return end_key(control, text.substr(state.mark));
  if (next == Lexer::kDead && control.phase != Phase::bare) return std::nullopt;
  // The scalar is over: with its quote, or before this byte.
  const std::span<const ExprId> parts = lexer_.parts(state.lex);
  std::vector<bool> satisfied;
  for (size_t i = 0; i < parts.size(); ++i) satisfied.push_back(lexer_.accepts(state.lex, i));
  std::string quoted;
  std::string_view value = text.substr(state.mark);
  if (next == Lexer::kEnd && text_matters_) {
    quoted = std::string(value) + '"';
    value = quoted;
  }
  const auto after = complete(control.frame, control.pending, satisfied, value);
  if (!after || next == Lexer::kEnd) return after;
  return structural(after->control, byte, text);
}

std::optional<Machine::State> SchemaMachine::structural(Id id, uint8_t byte, std::string_view text) {
  const uint64_t step_key = (static_cast<uint64_t>(id) << 8) | byte;
  if (!text_matters_)
    if (const auto known = steps_.find(step_key); known != steps_.end()) {
      State state = known->second;
      if (state.control == 0xFFFFFFFF) return std::nullopt;
      if (state.lex != 0) state.mark = static_cast<uint32_t>(text.size()) + state.mark;  // where lexemes begin is not part of the step
      return state;
    }
  const Control control = controls_[id];
  std::optional<State> next;
  switch (control.phase) {
    case Phase::value: next = begin_value(control, byte, text); break;
    case Phase::object_open:
    case Phase::before_key:
      if (byte == ' ' && control.space) {
        Control without = control;
        without.space = false;
        next = at(without);
      } else if (byte == '"' && (!control.space || options_.spacing == JsonSpacing::optional)) {
        next = begin_key(control, text);
      } else if (byte == '}' && control.phase == Phase::object_open) {
        next = close(frames_[control.frame], text, '}');
      }
      break;
    case Phase::after_key:
      if (byte == ':') next = at({.phase = Phase::value, .space = true, .frame = control.frame, .pending = control.pending});
      break;
    case Phase::after_value: {
      const FrameKind kind = frames_[control.frame].kind;
      if (byte == ',')
        next = comma(control);
      else if ((byte == '}' && kind == FrameKind::object) || (byte == ']' && kind == FrameKind::array))
        next = close(frames_[control.frame], text, static_cast<char>(byte));
      break;
    }
    case Phase::string:
    case Phase::bare:
    case Phase::key:
    case Phase::done: break;
  }
  if (!text_matters_) {
    State cached = next.value_or(State{0xFFFFFFFF, 0, 0});
    if (cached.lex != 0) cached.mark -= static_cast<uint32_t>(text.size());
    steps_.emplace(step_key, cached);
  }
  return next;
}

uint32_t SchemaMachine::parts_state(const Control& control, bool strings) {
  const uint64_t cache_key = (static_cast<uint64_t>(control.pending) << 1) | (strings ? 1 : 0);
  if (const auto known = lex_starts_.find(cache_key); known != lex_starts_.end()) return known->second;
  std::vector<ExprId> parts;
  for (const Slot& slot : pendings_[control.pending].slots) {
    const SchemaShapes::Shape& shape = shapes_->shape(slot.goal);
    parts.push_back(strings ? shape.strings : shape.bare);
  }
  const uint32_t state = lexer_.start(strings ? Lexer::Coding::json_string : Lexer::Coding::text, parts);
  lex_starts_.emplace(cache_key, state);
  return state;
}

std::optional<Machine::State> SchemaMachine::begin_value(const Control& control, uint8_t byte, std::string_view text) {
  if (byte == ' ' && control.space) {
    Control without = control;
    without.space = false;
    return at(without);
  }
  if (byte == ']' && control.close) return close(frames_[control.frame], text, ']');
  if (control.space && options_.spacing == JsonSpacing::always) return std::nullopt;
  if (byte == '{') return open(control, FrameKind::object, text);
  if (byte == '[') return open(control, FrameKind::array, text);
  Id frame = control.frame;
  if (control.close) {  // the value comes: the threads live on in its slots
    Frame taken = frames_[frame];
    taken.threads.clear();
    frame = frames_.id(taken);
  }
  if (byte == '"') {
    const uint32_t lex = parts_state(control, true);
    if (lex == Lexer::kDead) return std::nullopt;
    return at({.phase = Phase::string, .frame = frame, .pending = control.pending}, lex, text.size());
  }
  uint32_t lex = parts_state(control, false);
  if (lex != Lexer::kDead) lex = lexer_.next(lex, byte);
  if (lex == Lexer::kDead) return std::nullopt;
  return at({.phase = Phase::bare, .frame = frame, .pending = control.pending}, lex, text.size());
}

bool SchemaMachine::wants_text(const Pending& pending) const {
  for (const Slot& slot : pending.slots)
    for (const Thread& t : slot.next)
      if (t.array && t.array->unique) return true;
  return false;
}

SchemaMachine::Pending SchemaMachine::group(const std::vector<Step>& steps) {
  Pending out;
  for (const Step& step : steps) {
    auto it = std::lower_bound(out.slots.begin(), out.slots.end(), step.goal, [](const Slot& s, GoalId g) { return s.goal < g; });
    if (it == out.slots.end() || it->goal != step.goal) it = out.slots.insert(it, Slot{.goal = step.goal, .next = {}});
    const auto place = std::lower_bound(it->next.begin(), it->next.end(), step.next);
    if (place == it->next.end() || *place != step.next) it->next.insert(place, step.next);
  }
  return out;
}

std::optional<Machine::State> SchemaMachine::open(const Control& control, FrameKind kind, std::string_view text) {
  Id around = control.frame;
  if (control.close) {
    Frame taken = frames_[around];
    taken.threads.clear();
    around = frames_.id(taken);
  }
  Frame frame{.kind = kind, .parent = around, .above = control.pending};
  const Pending pending = pendings_[control.pending];
  for (size_t i = 0; i < pending.slots.size(); ++i) {
    const SchemaShapes::Shape& shape = shapes_->shape(pending.slots[i].goal);
    if (kind == FrameKind::object)
      for (const ObjectShape* o : shape.objects)
        if (const auto thread = shapes_->start(*o, static_cast<int32_t>(i))) frame.threads.push_back(*thread);
    if (kind == FrameKind::array)
      for (const ArrayShape* a : shape.arrays)
        if (const auto thread = shapes_->start(*a, static_cast<int32_t>(i))) frame.threads.push_back(*thread);
  }
  if (frame.threads.empty()) return std::nullopt;
  std::sort(frame.threads.begin(), frame.threads.end());
  if (text_matters_ && wants_text(pending)) frame.value_start = static_cast<uint32_t>(text.size());
  if (kind == FrameKind::object) return at({.phase = Phase::object_open, .frame = frames_.id(frame)});
  std::vector<Step> steps;
  bool may_end = false;
  for (const Thread& t : frame.threads) {
    shapes_->next_items(t, steps);
    may_end |= shapes_->may_close(t);
  }
  if (!may_end) frame.threads.clear();
  return at({.phase = Phase::value, .close = may_end, .frame = frames_.id(frame), .pending = pendings_.id(group(steps))});
}

bool SchemaMachine::asks_names(const std::vector<Thread>& threads) const {
  return std::any_of(threads.begin(), threads.end(), [](const Thread& t) { return !t.object->classes.empty(); });
}

std::optional<Machine::State> SchemaMachine::begin_key(const Control& control, std::string_view text) {
  const Frame frame = frames_[control.frame];
  ExprId language = Exprs::kNothing;
  for (const Thread& t : frame.threads) {
    language = exprs_.any_of(language, shapes_->key_language(t));
    if (language == Exprs::kAll) break;
  }
  // Every name can be told from the ones before it by going on; where there are only some names, those before are taken out.
  if (language != Exprs::kAll && frame.names != 0) {
    std::vector<std::string> taken;
    for (Id list = frame.names; list != 0; list = name_lists_[list].rest) taken.push_back(names_[name_lists_[list].name]);
    language = exprs_.without(language, exprs_.literals(std::move(taken)));
  }
  const uint32_t lex = lexer_.start(Lexer::Coding::json_string, std::span(&language, 1));
  if (lex == Lexer::kDead) return std::nullopt;
  return at({.phase = Phase::key, .frame = control.frame}, lex, text.size() + 1);
}

std::optional<Machine::State> SchemaMachine::end_key(const Control& control, std::string_view raw) {
  std::string name(raw);
  if (raw.find('\\') != std::string_view::npos) {
    const auto parsed = Json::parse('"' + name + '"', "name");
    if (!parsed) return std::nullopt;
    name = parsed->as_string();
  }
  const Frame& before = frames_[control.frame];
  std::vector<Step> steps;
  const bool remembered = asks_names(before.threads);
  Frame frame = before;
  if (remembered) {
    const auto [it, is_new] = name_ids_.try_emplace(name, static_cast<Id>(names_.size()));
    if (is_new) names_.push_back(name);
    for (Id list = before.names; list != 0; list = name_lists_[list].rest)
      if (name_lists_[list].name == it->second) return std::nullopt;
    const auto [list, is_new_list] =
        name_list_ids_.try_emplace((static_cast<uint64_t>(before.names) << 32) | it->second, static_cast<Id>(name_lists_.size()));
    if (is_new_list) name_lists_.push_back({before.names, it->second});
    frame.names = list->second;
  }
  for (const Thread& t : frame.threads) shapes_->take_key(t, name, steps);
  if (steps.empty()) return std::nullopt;
  frame.threads.clear();
  return at({.phase = Phase::after_key, .frame = frames_.id(frame), .pending = pendings_.id(group(steps))});
}

std::optional<Machine::State> SchemaMachine::close(const Frame& closing, std::string_view text, char bracket) {
  const Frame frame = closing;  // a copy: completing makes frames
  std::vector<bool> satisfied(pendings_[frame.above].slots.size());
  bool some = false;
  for (const Thread& t : frame.threads)
    if (shapes_->may_close(t)) satisfied[static_cast<size_t>(t.slot)] = some = true;
  if (!some) return std::nullopt;
  std::string value;
  if (text_matters_ && wants_text(pendings_[frame.above])) value = std::string(text.substr(frame.value_start)) + bracket;
  return complete(frame.parent, frame.above, satisfied, value);
}

std::optional<Machine::State> SchemaMachine::complete(Id frame_id, Id pending_id, const std::vector<bool>& satisfied,
                                                      std::string_view value_text) {
  const Pending pending = pendings_[pending_id];
  Frame frame = frames_[frame_id];
  frame.threads.clear();
  std::optional<Json> value;
  if (text_matters_ && wants_text(pending)) {
    auto parsed = Json::parse(value_text, "item");
    if (!parsed) return std::nullopt;
    value = std::move(*parsed);
  }
  bool some = false;
  for (size_t i = 0; i < satisfied.size(); ++i) {
    if (!satisfied[i]) continue;
    some = true;
    for (const Thread& t : pending.slots[i].next) {
      std::optional<Thread> next = t;
      if (value && t.array && t.array->unique) next = shapes_->remember(t, *value);
      if (next) frame.threads.push_back(*next);
    }
  }
  if (!some) return std::nullopt;
  if (frame.kind == FrameKind::root) return at({.phase = Phase::done});
  if (frame.threads.empty()) return std::nullopt;
  std::sort(frame.threads.begin(), frame.threads.end());
  frame.threads.erase(std::unique(frame.threads.begin(), frame.threads.end()), frame.threads.end());
  return at({.phase = Phase::after_value, .frame = frames_.id(frame)});
}

std::optional<Machine::State> SchemaMachine::comma(const Control& control) {
  Frame frame = frames_[control.frame];
  if (frame.kind == FrameKind::array) {
    std::vector<Step> steps;
    for (const Thread& t : frame.threads) shapes_->next_items(t, steps);
    if (steps.empty()) return std::nullopt;
    frame.threads.clear();
    return at({.phase = Phase::value, .space = true, .frame = frames_.id(frame), .pending = pendings_.id(group(steps))});
  }
  if (frame.kind != FrameKind::object) return std::nullopt;
  std::erase_if(frame.threads, [this](const Thread& t) { return !shapes_->may_go_on(t); });
  if (frame.threads.empty()) return std::nullopt;
  const Control next{.phase = Phase::before_key, .space = true, .frame = frames_.id(frame)};
  // Finite names may all be taken already, which a thread alone does not know.
  if (frame.names != 0 && !begin_key(next, "")) return std::nullopt;
  return at(next);
}

}  // namespace quern
