#include "constrain/schema_machine.h"

#include <fmt/format.h>

#include <algorithm>

namespace quern {
namespace {

std::string unescape(std::string_view raw) {
  if (raw.find('\\') == std::string_view::npos) return std::string(raw);
  const auto parsed = Json::parse('"' + std::string(raw) + '"', "name");
  return parsed && parsed->is_string() ? parsed->as_string() : std::string(raw);
}

}  // namespace

uint64_t SchemaMachine::Hash::operator()(const Frame& f) const {
  HashMix h;
  h.add((static_cast<uint64_t>(f.parent) << 32) | f.above);
  h.add((static_cast<uint64_t>(f.names) << 32) | f.value_start);
  h.add(static_cast<uint64_t>(f.kind));
  add_threads(h, f.threads);
  return h.value();
}
uint64_t SchemaMachine::Hash::operator()(const Control& c) const {
  HashMix h;
  h.add((static_cast<uint64_t>(c.frame) << 32) | c.pending);
  h.add(static_cast<uint64_t>(c.phase) << 3 | static_cast<uint64_t>(c.unsettled) << 2 | static_cast<uint64_t>(c.space) << 1 |
        static_cast<uint64_t>(c.close));
  return h.value();
}

uint64_t SchemaMachine::NameHash::operator()(const NameList& l) const {
  HashMix h;
  h.add(l.rest);
  h.add(std::hash<std::string>{}(l.name));
  return h.value();
}

SchemaMachine::SchemaMachine(Json schema, const SchemaMachineOptions& options, Refusal& refusal)
    : languages_(options.languages ? options.languages : std::make_shared<Languages>()),
      exprs_(languages_->exprs),
      lexer_(languages_->lexer),
      options_(options) {
  document_ = std::make_unique<SchemaDocument>(std::move(schema), refusal);
  if (!refusal.reason.empty()) return;
  algebra_ = std::make_unique<SchemaAlgebra>(*document_, exprs_, options.schema);
  shapes_ = std::make_unique<SchemaShapes>(*algebra_, static_cast<int32_t>(options.max_depth));
  root_ = algebra_->goal({document_->root(), options.also == Json(true) ? 0 : document_->synthetic(options.also, "#")});
  shapes_->check_all(root_);
  if (const Refusal* why = algebra_->refusal()) {
    refusal = *why;
  } else if (exprs_.exhausted()) {
    refusal = {"#", "too large to compile"};
  } else if (!shapes_->satisfiable(root_, shapes_->room())) {
    refusal = {"#", fmt::format("no value of at most {} levels satisfies this schema", shapes_->room())};
  }
  name_lists_.id({.rest = 0xFFFFFFFF, .name = {}});  // no names: not the list of one empty name
  frames_.id({});
  text_matters_ = shapes_->text_matters();
}

SchemaMachine::~SchemaMachine() = default;

std::unique_ptr<SchemaMachine> SchemaMachine::compile(Json schema, const SchemaMachineOptions& options, Refusal& refusal) {
  std::unique_ptr<SchemaMachine> machine(new SchemaMachine(std::move(schema), options, refusal));
  return refusal.reason.empty() ? std::move(machine) : nullptr;
}

Machine::State SchemaMachine::start() { return start(std::span(&root_, 1), shapes_->room()); }

Machine::State SchemaMachine::start(std::span<const GoalId> goals, int32_t room) {
  Pending root;
  for (const GoalId goal : goals)
    root.slots.push_back({.goal = goal, .next = {Thread{.slot = static_cast<int32_t>(root.slots.size()), .room = room}}});
  return at({.phase = Phase::value, .frame = 0, .pending = pendings_.id(root)});
}

std::vector<bool> SchemaMachine::satisfied(State state, size_t num_goals) const {
  std::vector<bool> out(num_goals);
  for (const Thread& t : frames_[controls_[state.control].frame].threads) out[static_cast<size_t>(t.slot)] = true;
  return out;
}

std::optional<uint64_t> SchemaMachine::key(State state) {
  // A name's further way depends on its text, which equal lexer states do not tell.
  const Control& control = controls_[state.control];
  if (text_matters_ || control.phase == Phase::key || control.unsettled) return std::nullopt;
  return (static_cast<uint64_t>(state.control) << 32) | state.lex;
}

Result<void> SchemaMachine::healthy() const {
  if (exprs_.exhausted() || bytes() > options_.max_bytes)
    return fail(Errc::out_of_range, "the constraint needs more than {} MiB of memory", options_.max_bytes >> 20);
  if (const Refusal* why = algebra_->refusal()) return fail(Errc::unsupported, "{}: {}", why->path, why->reason);
  return {};
}

size_t SchemaMachine::bytes() const {
  return languages_->bytes() + shapes_->size() * 200 + algebra_->num_goals() * 400 + pendings_.size() * 250 + frames_.size() * 250 +
         controls_.size() * 80 + name_lists_.size() * 120 + memos_.size() * 120;
}

bool SchemaMachine::can_end(State state, std::string_view) {
  const Control& c = controls_[state.control];
  return c.phase == Phase::done || (c.phase == Phase::bare && c.frame == 0 && lexer_.accepts(state.lex));
}

std::optional<Machine::State> SchemaMachine::step(State state, uint8_t byte, std::string_view text) {
  if (state.lex == 0) return structural(state, byte, text);
  const uint32_t next = lexer_.next(state.lex, byte);
  if (next != Lexer::kDead && next != Lexer::kEnd) return State{state.control, next, state.mark};
  const Control control = controls_[state.control];
  if (next == Lexer::kEnd && control.phase == Phase::key) return end_key(state, text);
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
  const auto after = complete(control.frame, control.pending, satisfied, value, state.mark);
  if (!after || next == Lexer::kEnd) return after;
  return structural(*after, byte, text);
}

SchemaMachine::ControlMemo& SchemaMachine::memo(Id control) {
  if (memos_.size() <= control) memos_.resize(control + 1);
  return memos_[control];
}

std::optional<Machine::State> SchemaMachine::structural(State state, uint8_t byte, std::string_view text) {
  const Control control = controls_[state.control];
  if (control.unsettled && control.phase == Phase::value && byte != ' ')
    return structural_step(settled(control, state.mark, text), byte, text);
  if (!text_matters_)
    for (const auto& [known, next] : memo(state.control).steps)
      if (known == byte) {
        State out = next;
        if (out.lex != 0) out.mark += static_cast<uint32_t>(text.size());
        if (control.unsettled) out.mark = state.mark;
        return out;
      }
  std::optional<State> next = structural_step(control, byte, text);
  if (next && control.unsettled && (byte == ':' || byte == ' ' || byte == ',')) next->mark = state.mark;
  if (next && !text_matters_) {
    State cached = *next;
    if (cached.lex != 0) cached.mark -= static_cast<uint32_t>(text.size());
    memo(state.control).steps.emplace_back(byte, cached);
  }
  return next;
}

std::optional<Machine::State> SchemaMachine::structural_step(const Control& control, uint8_t byte, std::string_view text) {
  if (control.space && byte == ' ') {
    Control without = control;
    without.space = false;
    return at(without);
  }
  if (control.space && options_.spacing == JsonSpacing::always) return std::nullopt;
  switch (control.phase) {
    case Phase::value:
      return begin_value(control, byte, text);
    case Phase::object_open:
    case Phase::before_key:
      if (byte == '"') return begin_key(control, text);
      if (byte == '}' && control.phase == Phase::object_open) return close(frames_[control.frame], text, '}');
      break;
    case Phase::after_key:
      if (byte == ':')
        return at({.phase = Phase::value,
                   .space = true,
                   .unsettled = control.unsettled,
                   .frame = control.frame,
                   .pending = control.pending});
      break;
    case Phase::after_value: {
      const FrameKind kind = frames_[control.frame].kind;
      if (byte == ',') return comma(control);
      if ((byte == '}' && kind == FrameKind::object) || (byte == ']' && kind == FrameKind::array))
        return close(frames_[control.frame], text, static_cast<char>(byte));
      break;
    }
    case Phase::string:
    case Phase::bare:
    case Phase::key:
    case Phase::done:
      break;
  }
  return std::nullopt;
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
  if (byte == ']' && control.close) return close(frames_[control.frame], text, ']');
  if (byte == '{') return open(control, FrameKind::object, text);
  if (byte == '[') return open(control, FrameKind::array, text);
  const Id frame = around_value(control);
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

// The frame once the value comes that could have been its end: the threads live on in the value's slots.
SchemaMachine::Id SchemaMachine::around_value(const Control& control) {
  if (!control.close) return control.frame;
  Frame frame = frames_[control.frame];
  frame.threads.clear();
  return frames_.id(frame);
}

bool SchemaMachine::wants_text(const Pending& pending) const {
  for (const Slot& slot : pending.slots)
    for (const Thread& t : slot.next)
      if (t.array && t.array->unique) return true;
  return false;
}

std::optional<Machine::State> SchemaMachine::open(const Control& control, FrameKind kind, std::string_view text) {
  Frame frame{.kind = kind, .parent = around_value(control), .above = control.pending};
  const Pending pending = pendings_[control.pending];
  for (size_t i = 0; i < pending.slots.size(); ++i) {
    const SchemaShapes::Shape& shape = shapes_->shape(pending.slots[i].goal);
    const int32_t room = pending.slots[i].room();
    if (kind == FrameKind::object)
      for (const ObjectShape* o : shape.objects)
        if (const auto thread = shapes_->start(*o, static_cast<int32_t>(i), room)) frame.threads.push_back(*thread);
    if (kind == FrameKind::array)
      for (const ArrayShape* a : shape.arrays)
        if (const auto thread = shapes_->start(*a, static_cast<int32_t>(i), room)) frame.threads.push_back(*thread);
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
  const bool endless = std::all_of(frame.threads.begin(), frame.threads.end(), [](const Thread& t) { return t.object->endless; });
  if (!endless && frame.names != 0) {
    std::vector<std::string> taken;
    for (Id list = frame.names; list != 0; list = name_lists_[list].rest) taken.push_back(name_lists_[list].name);
    language = exprs_.without(language, exprs_.literals(std::move(taken)));
  }
  const uint32_t lex = lexer_.start(Lexer::Coding::json_string, std::span(&language, 1));
  if (lex == Lexer::kDead) return std::nullopt;
  return at({.phase = Phase::key, .frame = control.frame}, lex, text.size() + 1);
}

bool SchemaMachine::knows_no(std::string_view name, const std::vector<Thread>& threads) {
  return std::all_of(threads.begin(), threads.end(),
                     [&](const Thread& t) { return t.object->simple && t.object->open && !t.object->by_name.contains(name); });
}

std::optional<Machine::State> SchemaMachine::end_key(State state, std::string_view text) {
  const std::string_view raw = text.substr(state.mark);
  std::string unescaped;
  std::string_view name = raw;
  if (raw.find('\\') != std::string_view::npos) {
    unescaped = unescape(raw);
    name = unescaped;
  }
  const Control control = controls_[state.control];
  Frame frame = frames_[control.frame];
  const bool remembered = asks_names(frame.threads);
  if (remembered)
    for (Id list = frame.names; list != 0; list = name_lists_[list].rest)
      if (name_lists_[list].name == name) return std::nullopt;
  const bool other = knows_no(name, frame.threads);
  if (other)
    if (const Id known = memo(state.control).after_other_name) return State{known, 0, state.mark};
  std::vector<Step> steps;
  for (const Thread& t : frame.threads) shapes_->take_key(t, name, steps);
  if (steps.empty()) return std::nullopt;
  frame.threads.clear();
  State next =
      at({.phase = Phase::after_key, .unsettled = remembered, .frame = frames_.id(frame), .pending = pendings_.id(group(steps))});
  if (other) memo(state.control).after_other_name = next.control;
  if (remembered) next.mark = state.mark;
  return next;
}

SchemaMachine::Control SchemaMachine::settled(const Control& control, size_t mark, std::string_view text) {
  Control out = control;
  out.unsettled = false;
  Frame frame = frames_[control.frame];
  // What came since: the name with its quote, or the item, and where the next value is waited for already a ':' or ',' and a space.
  std::string_view since = text.substr(mark);
  if (control.phase == Phase::value && !control.space) since.remove_suffix(1);
  if (control.phase == Phase::value) since.remove_suffix(1);
  if (frame.kind == FrameKind::object) {
    frame.names = name_lists_.id({frame.names, unescape(since.substr(0, since.size() - 1))});  // without its quote
  } else {
    const auto item = Json::parse(since, "item");
    if (item)
      for (Thread& t : frame.threads)
        if (t.array->unique) t = shapes_->remember(t, *item);
    if (control.phase == Phase::value) {
      std::vector<Step> steps;
      for (const Thread& t : frame.threads) shapes_->next_items(t, steps);
      out.pending = pendings_.id(group(steps));
      frame.threads.clear();
    }
  }
  out.frame = frames_.id(frame);
  return out;
}

Machine::State SchemaMachine::settle(State state, std::string_view text) {
  const Control& control = controls_[state.control];
  if (!control.unsettled) return state;
  return at(settled(control, state.mark, text));
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
  return complete(frame.parent, frame.above, satisfied, value, frame.value_start);
}

std::optional<Machine::State> SchemaMachine::complete(Id frame_id, Id pending_id, const std::vector<bool>& satisfied,
                                                      std::string_view value_text, size_t value_start) {
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
    for (const Thread& t : pending.slots[i].next)
      if (!(value && t.array && t.array->unique && shapes_->remembers(t, *value))) frame.threads.push_back(t);
  }
  if (!some) return std::nullopt;
  if (frame.kind == FrameKind::root) return at({.phase = Phase::done, .frame = frames_.id(frame)});
  if (frame.threads.empty()) return std::nullopt;
  sort_threads(frame.threads);
  return at({.phase = Phase::after_value, .unsettled = value.has_value(), .frame = frames_.id(frame)}, 0, value ? value_start : 0);
}

std::optional<Machine::State> SchemaMachine::comma(const Control& control) {
  Frame frame = frames_[control.frame];
  if (frame.kind == FrameKind::array) {
    std::vector<Step> steps;
    for (const Thread& t : frame.threads) shapes_->next_items(t, steps);
    if (steps.empty()) return std::nullopt;
    if (!control.unsettled) frame.threads.clear();
    return at({.phase = Phase::value,
               .space = true,
               .unsettled = control.unsettled,
               .frame = frames_.id(frame),
               .pending = pendings_.id(group(steps))});
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
