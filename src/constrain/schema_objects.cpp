// Objects: which names may come next, and whether what must still come can.
#include <algorithm>

#include "constrain/schema_shapes.h"

namespace quern {
namespace {

constexpr size_t kMaxClasses = 64;  // of property names by the patterns they match
constexpr size_t kMaxDuties = 4;

}  // namespace

const ObjectShape* SchemaShapes::make(const ObjectSet& set) {
  ObjectShape& shape = *objects_.emplace_back(std::make_unique<ObjectShape>());
  std::vector<std::string> names = set.required;
  std::vector<ExprId> patterns;
  for (const auto& rule : set.rules) {
    for (const auto& entry : rule->named) names.push_back(entry.first);
    for (const auto& entry : rule->patterns) patterns.push_back(entry.first);
  }
  for (const auto& [name, others] : set.dependent) {
    names.push_back(name);
    names.insert(names.end(), others.begin(), others.end());
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  std::sort(patterns.begin(), patterns.end());
  patterns.erase(std::unique(patterns.begin(), patterns.end()), patterns.end());

  shape.named.reserve(names.size());
  shape.names = make_name_set(names);
  for (const std::string& name : names) {
    const auto index = static_cast<int32_t>(shape.named.size());
    shape.named.push_back({.name = name,
                           .goal = algebra_.goal(property_literals(set, exprs_, name)),
                           .required = std::binary_search(set.required.begin(), set.required.end(), name),
                           .forbidden = set.names != Exprs::kAll && !exprs_.matches(set.names, name)});
    shape.by_name.emplace(shape.named.back().name, index);
  }
  for (const auto& [name, others] : set.dependent)
    for (const std::string& other : others)
      shape.named[static_cast<size_t>(shape.by_name.at(name))].brings.push_back(shape.by_name.at(other));
  shape.min = set.min;
  shape.max = set.max;
  shape.duties = set.duties;
  make_classes(set, shape, set.names, patterns, 0);
  shape.endless =
      std::all_of(shape.classes.begin(), shape.classes.end(), [this](const ObjectShape::Class& c) { return endless(c.names); });
  if (!shape.endless) {
    shape.classes.clear();
    make_classes(set, shape, exprs_.without(set.names, exprs_.literals(names)), patterns, 0);
  }
  shape.open = shape.classes.size() == 1 && shape.classes[0].names == Exprs::kAll;
  shape.simple = set.max < 0 && set.duties.empty() && set.dependent.empty();
  if (shape.duties.size() > kMaxDuties)
    algebra_.refuse(algebra_.path(shape.duties[0].lit), "too many properties must be found by what they satisfy");
  if (shape.max >= 0 && shape.duties.size() > 1)
    algebra_.refuse(algebra_.path(shape.duties[0].lit), "together with maxProperties it cannot be enforced exactly");
  return &shape;
}

// Whether every state of the language can reach a cycle of live states; false also when there are too many of them to look at.
bool SchemaShapes::endless(ExprId names) {
  constexpr size_t kMaxStates = 64;
  if (names == Exprs::kAll) return true;
  std::vector<ExprId> states{names};
  std::vector<uint64_t> reaches;  // by state: those after one or more characters
  for (size_t i = 0; i < states.size(); ++i) {
    uint64_t next = 0;
    const auto span = exprs_.derivative(states[i]);
    char32_t first = 0;
    for (const Exprs::Piece& piece : std::vector<Exprs::Piece>(span.begin(), span.end())) {
      const bool surrogates = first >= kFirstSurrogate && piece.last <= kLastSurrogate;
      first = piece.last + 1;
      if (surrogates || !exprs_.live(piece.target)) continue;
      const auto at = static_cast<size_t>(std::find(states.begin(), states.end(), piece.target) - states.begin());
      if (at == kMaxStates) return false;
      if (at == states.size()) states.push_back(piece.target);
      next |= uint64_t{1} << at;
    }
    reaches.push_back(next);
  }
  for (size_t k = 0; k < states.size(); ++k)  // Warshall's closure
    for (uint64_t& from : reaches)
      if (from >> k & 1) from |= reaches[k];
  uint64_t on_cycle = 0;
  for (size_t i = 0; i < states.size(); ++i) on_cycle |= reaches[i] & (uint64_t{1} << i);
  return std::all_of(reaches.begin(), reaches.end(), [&](uint64_t from) { return (from & on_cycle) != 0; });
}

// Splits the names that are not mentioned by the patterns they match, and keeps the classes that have names.
void SchemaShapes::make_classes(const ObjectSet& set, ObjectShape& shape, ExprId names, std::vector<ExprId> patterns, size_t at) {
  if (names == Exprs::kNothing || !exprs_.live(names)) return;
  if (at < patterns.size()) {
    make_classes(set, shape, exprs_.both(names, patterns[at]), patterns, at + 1);
    std::vector<ExprId> without = patterns;
    without[at] = Exprs::kNothing;
    make_classes(set, shape, exprs_.without(names, patterns[at]), std::move(without), at + 1);
    return;
  }
  if (shape.classes.size() == kMaxClasses) {
    algebra_.refuse("#", "patternProperties overlap in too many ways");
    return;
  }
  std::vector<SchemaLit> literals;
  for (const auto& rule : set.rules) {
    bool mentioned = false;
    for (const auto& [pattern, lit] : rule->patterns)
      if (std::find(patterns.begin(), patterns.end(), pattern) != patterns.end()) {
        literals.push_back(lit);
        mentioned = true;
      }
    if (!mentioned) literals.push_back(rule->other);
  }
  const GoalId goal = algebra_.goal(std::move(literals));
  if (goal == algebra_.goal({algebra_.never()})) return;
  for (ObjectShape::Class& known : shape.classes)
    if (known.goal == goal) {
      known.names = exprs_.any_of(known.names, names);
      return;
    }
  shape.classes.push_back({names, goal});
}

bool SchemaShapes::allowed(const ObjectShape& shape, int32_t index, int32_t room) {
  const ObjectShape::Named& named = shape.named[static_cast<size_t>(index)];
  return !named.forbidden && satisfiable(named.goal, room);
}

bool SchemaShapes::seen(const Thread& thread, int32_t index) const {
  const std::vector<int64_t>& words = bits_[thread.a];
  const auto word = static_cast<size_t>(index) / 63;
  return word < words.size() && (words[word] >> (index % 63) & 1);
}

// Names that have to come: required ones and what those and the ones seen bring.
std::vector<int32_t> SchemaShapes::missing(const Thread& thread) {
  const ObjectShape& shape = *thread.object;
  std::vector<int32_t> out;
  if (shape.simple) {
    for (size_t i = 0; i < shape.named.size(); ++i)
      if (shape.named[i].required && !seen(thread, static_cast<int32_t>(i))) out.push_back(static_cast<int32_t>(i));
    return out;
  }
  std::vector<bool> must(shape.named.size());
  std::vector<int32_t> open;
  for (size_t i = 0; i < shape.named.size(); ++i)
    if (shape.named[i].required || seen(thread, static_cast<int32_t>(i))) must[i] = true, open.push_back(static_cast<int32_t>(i));
  while (!open.empty()) {
    const auto i = static_cast<size_t>(open.back());
    open.pop_back();
    if (!seen(thread, static_cast<int32_t>(i))) out.push_back(static_cast<int32_t>(i));
    for (const int32_t other : shape.named[i].brings)
      if (!must[static_cast<size_t>(other)]) must[static_cast<size_t>(other)] = true, open.push_back(other);
  }
  return out;
}

bool SchemaShapes::duty_possible(const Thread& thread, const PropertyDuty& duty) {
  const ObjectShape& shape = *thread.object;
  for (size_t i = 0; i < shape.named.size(); ++i)
    if (!seen(thread, static_cast<int32_t>(i)) && exprs_.matches(duty.names, shape.named[i].name) &&
        allowed(shape, static_cast<int32_t>(i), thread.room) &&
        satisfiable(algebra_.both(shape.named[i].goal, duty.lit), thread.room))
      return true;
  for (const ObjectShape::Class& c : shape.classes)
    if (exprs_.live(exprs_.both(c.names, duty.names)) && satisfiable(algebra_.both(c.goal, duty.lit), thread.room)) return true;
  return false;
}

bool SchemaShapes::completable(const Thread& thread) {
  const ObjectShape& shape = *thread.object;
  if (thread.c == 0 && shape.simple) {  // only what is required can fail, and that was asked at the start
    return true;
  }
  const std::vector<int32_t> to_come = missing(thread);
  for (const int32_t i : to_come)
    if (!allowed(shape, i, thread.room)) return false;
  int64_t cost = 0;
  for (size_t d = 0; d < shape.duties.size(); ++d) {
    if (!(thread.c >> d & 1)) continue;
    const PropertyDuty& duty = shape.duties[d];
    const bool on_the_way = std::any_of(to_come.begin(), to_come.end(), [&](int32_t i) {
      const ObjectShape::Named& named = shape.named[static_cast<size_t>(i)];
      return exprs_.matches(duty.names, named.name) && satisfiable(algebra_.both(named.goal, duty.lit), thread.room);
    });
    if (on_the_way) continue;
    if (!duty_possible(thread, duty)) return false;
    ++cost;
  }
  return shape.max < 0 || thread.b + static_cast<int64_t>(to_come.size()) + cost <= shape.max;
}

std::optional<Thread> SchemaShapes::start(const ObjectShape& shape, int32_t slot, int32_t room) {
  if (room == 0) return std::nullopt;
  Thread thread{.object = &shape, .array = nullptr, .slot = slot, .room = room - 1};
  thread.c = (1u << shape.duties.size()) - 1;
  for (size_t i = 0; i < shape.named.size(); ++i)
    if (shape.named[i].required && !allowed(shape, static_cast<int32_t>(i), thread.room)) return std::nullopt;
  if (!completable(thread)) return std::nullopt;
  if (shape.min > 0 && !(shape.open && satisfiable(shape.classes[0].goal, thread.room))) {  // enough names for the minimum?
    int64_t available = 0;
    for (size_t i = 0; i < shape.named.size() && available < shape.min; ++i)
      available += allowed(shape, static_cast<int32_t>(i), thread.room);
    for (const ObjectShape::Class& c : shape.classes)
      if (available < shape.min && satisfiable(c.goal, thread.room)) available += exprs_.count(c.names, shape.min);
    if (available < shape.min) return std::nullopt;
  }
  return thread;
}

bool SchemaShapes::in_a_class(const Thread& thread, std::string_view name) {
  const ObjectShape& shape = *thread.object;
  return shape.endless && std::any_of(shape.classes.begin(), shape.classes.end(), [&](const ObjectShape::Class& c) {
           return satisfiable(c.goal, thread.room) && exprs_.matches(c.names, name);
         });
}

ExprId SchemaShapes::key_language(const Thread& thread) {
  const ObjectShape& shape = *thread.object;
  if (shape.max >= 0 && thread.b >= shape.max) return Exprs::kNothing;
  if (shape.simple && shape.open && satisfiable(shape.classes[0].goal, thread.room)) return Exprs::kAll;
  Thread key = thread;
  key.slot = 0;
  if (const auto known = key_languages_.find(key); known != key_languages_.end()) return known->second;
  std::vector<bool> among(shape.named.size());
  std::vector<Step> steps;
  for (size_t i = 0; i < shape.named.size(); ++i) {
    if (seen(thread, static_cast<int32_t>(i)) || !allowed(shape, static_cast<int32_t>(i), thread.room)) continue;
    if (shape.simple && in_a_class(thread, shape.named[i].name)) continue;  // its letters may come anyway
    if (!shape.simple) {
      steps.clear();
      take_key(thread, shape.named[i].name, steps);
      if (steps.empty()) continue;
    }
    among[i] = true;
  }
  std::vector<ExprId> parts{exprs_.names(shape.names, std::move(among))};
  Thread after = thread;
  after.b = thread.b + 1;
  const bool any_will_do = completable(after);
  for (const ObjectShape::Class& c : shape.classes) {
    if (!satisfiable(c.goal, thread.room)) continue;
    if (any_will_do) {
      parts.push_back(c.names);
      continue;
    }
    for (size_t d = 0; d < shape.duties.size(); ++d) {  // only a name that does a duty leaves room for the rest
      Thread done = after;
      done.c &= ~(1u << d);
      if ((thread.c >> d & 1) && completable(done) && satisfiable(algebra_.both(c.goal, shape.duties[d].lit), thread.room))
        parts.push_back(exprs_.both(c.names, shape.duties[d].names));
    }
  }
  const ExprId language = exprs_.any_of(std::move(parts));
  key_languages_.emplace(key, language);
  return language;
}

void SchemaShapes::take_key(const Thread& thread, std::string_view name, std::vector<Step>& out) {
  const ObjectShape& shape = *thread.object;
  if (shape.max >= 0 && thread.b >= shape.max) return;
  Thread next = thread;
  next.b = shape.max >= 0 ? thread.b + 1 : std::min(thread.b + 1, shape.min);
  GoalId goal = -1;
  if (const auto it = shape.by_name.find(name); it != shape.by_name.end()) {
    const int32_t i = it->second;
    if (seen(thread, i) || !allowed(shape, i, thread.room)) return;
    std::vector<int64_t> words = bits_[thread.a];
    words.resize(std::max(words.size(), static_cast<size_t>(i) / 63 + 1));
    words[static_cast<size_t>(i) / 63] |= int64_t{1} << (i % 63);
    next.a = bits_.id(words);
    goal = shape.named[static_cast<size_t>(i)].goal;
  } else {
    for (const ObjectShape::Class& c : shape.classes)
      if (c.names == Exprs::kAll || exprs_.matches(c.names, name)) goal = c.goal;
  }
  if (goal < 0) return;
  uint32_t possible = 0;  // duties this name may do
  for (size_t d = 0; d < shape.duties.size(); ++d)
    if ((thread.c >> d & 1) && exprs_.matches(shape.duties[d].names, name)) possible |= 1u << d;
  for (uint32_t done = possible;; done = (done - 1) & possible) {  // every subset of them
    GoalId with_duties = goal;
    for (size_t d = 0; d < shape.duties.size(); ++d)
      if (done >> d & 1) with_duties = algebra_.both(with_duties, shape.duties[d].lit);
    next.c = thread.c & ~done;
    if (satisfiable(with_duties, thread.room) && completable(next)) out.push_back({next, with_duties});
    if (done == 0) break;
  }
}

}  // namespace quern
