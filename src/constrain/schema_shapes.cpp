#include "constrain/schema_shapes.h"

#include <algorithm>

namespace quern {
namespace {

constexpr size_t kMaxClasses = 64;  // of property names by the patterns they match
constexpr size_t kMaxDuties = 4;
constexpr int64_t kManyValues = 1'000'000;  // more distinct values than any list has
constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();

}  // namespace

size_t SchemaShapes::ThreadHash::operator()(const Thread& t) const {
  HashMix h;
  h.add(reinterpret_cast<uintptr_t>(t.object) ^ reinterpret_cast<uintptr_t>(t.array));
  h.add((static_cast<uint64_t>(t.a) << 32) | t.c);
  h.add(static_cast<uint64_t>(t.b) ^ (static_cast<uint64_t>(t.room) << 32));
  return static_cast<size_t>(h.value());
}

SchemaShapes::SchemaShapes(SchemaAlgebra& algebra, int32_t room) : algebra_(algebra), exprs_(algebra.exprs()), room_(room) {
  bits_.id({});
}

const SchemaShapes::Shape& SchemaShapes::shape(GoalId goal) {
  if (static_cast<size_t>(goal) >= shapes_.size()) shapes_.resize(algebra_.num_goals() + 64);
  if (const auto& known = shapes_[static_cast<size_t>(goal)]) return *known;
  const ValueSet& set = algebra_.expand(goal);
  auto made = std::make_unique<Shape>();
  made->strings = set.strings;
  std::vector<ExprId> bare{exprs_.both(set.numbers, algebra_.spelled_numbers())};
  if (algebra_.options().numbers == NumberSpelling::any_plain) bare.push_back(set.exponents);
  if (set.null) bare.push_back(exprs_.literal("null"));
  if (set.booleans & 1) bare.push_back(exprs_.literal("false"));
  if (set.booleans & 2) bare.push_back(exprs_.literal("true"));
  made->bare = exprs_.any_of(std::move(bare));
  for (const ObjectSet& o : set.objects) made->objects.push_back(make(o));
  for (const ArraySet& a : set.arrays) made->arrays.push_back(make(a));
  if (static_cast<size_t>(goal) >= shapes_.size()) shapes_.resize(algebra_.num_goals() + 64);
  return *(shapes_[static_cast<size_t>(goal)] = std::move(made));
}

// ---- objects

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

// ---- arrays

const ArrayShape* SchemaShapes::make(const ArraySet& set) {
  ArrayShape& shape = *arrays_.emplace_back(std::make_unique<ArrayShape>());
  size_t prefix = 0;
  for (const auto& rule : set.rules) prefix = std::max(prefix, rule->prefix.size());
  for (size_t i = 0; i < prefix; ++i) shape.prefix.push_back(algebra_.goal(item_literals(set, i)));
  shape.rest = algebra_.goal(item_literals(set, prefix));
  shape.min = set.min;
  shape.max = set.max;
  shape.unique = set.unique;
  for (const ContainsRule& c : set.contains) shape.contains.push_back(c);
  return &shape;
}

GoalId SchemaShapes::item_goal(const ArrayShape& shape, int64_t position) const {
  return position < static_cast<int64_t>(shape.prefix.size()) ? shape.prefix[static_cast<size_t>(position)] : shape.rest;
}

int64_t SchemaShapes::max_items(const ArrayShape& shape, int32_t room) {
  const std::pair key(&shape, room);
  if (const auto known = max_items_.find(key); known != max_items_.end()) return known->second;
  int64_t max = shape.max < 0 ? kUnlimited : shape.max;
  // The first position whose item has no value ends every array there.
  for (int64_t i = 0; i <= static_cast<int64_t>(shape.prefix.size()) && i < max; ++i)
    if (!satisfiable(item_goal(shape, i), room)) max = i;
  if (shape.unique) {
    if (const char* why = keep_different(shape, room, max)) {
      max = -1;
      undecided(shape, room, algebra_.path(shape.unique) + "/uniqueItems", why);
    }
  }
  return max_items_[key] = max;
}

std::optional<Thread> SchemaShapes::start(const ArrayShape& shape, int32_t slot, int32_t room) {
  if (room == 0) return std::nullopt;
  Thread thread{.object = nullptr, .array = &shape, .slot = slot, .room = room - 1};
  if (shape.min > max_items(shape, thread.room) || max_items(shape, thread.room) < 0) return std::nullopt;
  if (shape.contains.empty()) return thread;
  thread.a = bits_.id(std::vector<int64_t>(shape.contains.size()));
  if (shape.contains.size() > 1 ? contains_apart(shape, thread.room) : contains_completable(thread)) return thread;
  return std::nullopt;
}

// Several contains: each can always still be satisfied by an item of its own.
bool SchemaShapes::contains_apart(const ArrayShape& shape, int32_t room) {
  bool apart = max_items(shape, room) == kUnlimited;
  for (const ContainsRule& c : shape.contains) apart &= c.max < 0 && satisfiable(algebra_.both(shape.rest, c.lit), room);
  if (!apart)
    undecided(shape, room, algebra_.path(shape.contains.back().lit),
              "several contains that limit one another cannot be enforced exactly");
  return apart;
}

// With so little room for each item the array is left out. Whether more room would help, check_all asks.
void SchemaShapes::undecided(const ArrayShape& shape, int32_t room, std::string path, std::string why) {
  if (room == room_ - 1)
    algebra_.refuse(std::move(path), std::move(why));
  else if (std::find(undecided_.begin(), undecided_.end(), &shape) == undecided_.end())
    undecided_.push_back(&shape);
}

// One contains: is there a length at which enough of the items can match, and few enough have to?
bool SchemaShapes::contains_completable(const Thread& thread) {
  const ArrayShape& shape = *thread.array;
  if (shape.contains.size() != 1) return true;
  const ContainsRule& c = shape.contains[0];
  if (c.max >= 0 && c.min > c.max) return false;
  const int64_t max = max_items(shape, thread.room);
  int64_t matched = bits_[thread.a][0], position = thread.b;
  const auto last_special = std::max<int64_t>(static_cast<int64_t>(shape.prefix.size()), c.from);
  const auto can = [&](int64_t i) { return i >= c.from && satisfiable(algebra_.both(item_goal(shape, i), c.lit), thread.room); };
  const auto must = [&](int64_t i) {
    return i >= c.from && c.max >= 0 &&
           !satisfiable(algebra_.both(item_goal(shape, i), c.lit == 0 ? algebra_.never() : -c.lit), thread.room);
  };
  int64_t can_match = 0, must_match = 0;
  const auto enough = [&] { return position >= shape.min && matched + can_match >= c.min; };
  while (!enough()) {
    if (position >= max) return false;
    if (position >= last_special) {  // all further items are alike
      const int64_t step = can(position) ? 1 : 0, forced = must(position) ? 1 : 0;
      const int64_t to_min = std::max<int64_t>(shape.min - position, 0);
      const int64_t to_match = std::max<int64_t>(c.min - matched - can_match, 0);
      if (to_match > 0 && step == 0) return false;
      const int64_t more = std::max(to_min, to_match);
      if (more > max - position) return false;
      must_match += forced * more;
      break;
    }
    can_match += can(position);
    must_match += must(position);
    ++position;
  }
  return c.max < 0 || matched + must_match <= c.max;
}

void SchemaShapes::next_items(const Thread& thread, std::vector<Step>& out) {
  const ArrayShape& shape = *thread.array;
  const int64_t max = max_items(shape, thread.room);
  if (thread.b >= max) return;
  int64_t matters = std::max({static_cast<int64_t>(shape.prefix.size()), shape.min, max == kUnlimited ? 0 : max});
  for (const ContainsRule& c : shape.contains) matters = std::max(matters, c.from);
  Thread next = thread;
  next.b = std::min(thread.b + 1, matters);
  GoalId goal = item_goal(shape, thread.b);
  if (shape.unique)
    for (const int64_t value : bits_[thread.c])
      if (const SchemaLit lit = value_literals_[static_cast<size_t>(value)]) goal = algebra_.both(goal, -lit);
  std::vector<Step> steps{{next, goal}};
  for (size_t k = 0; k < shape.contains.size(); ++k) {
    const ContainsRule& c = shape.contains[k];
    if (thread.b < c.from) continue;
    std::vector<Step> split;
    for (const Step& step : steps) {
      const int64_t matched = bits_[thread.a][k];
      if (c.max >= 0 || matched < c.min) {
        std::vector<int64_t> counts = bits_[step.next.a];
        counts[k] = matched + 1;
        if (c.max < 0 || counts[k] <= c.max) {
          Step match{step.next, algebra_.both(step.goal, c.lit)};
          match.next.a = bits_.id(counts);
          split.push_back(match);
        }
      }
      split.push_back(c.max >= 0 ? Step{step.next, algebra_.both(step.goal, c.lit == 0 ? algebra_.never() : -c.lit)} : step);
    }
    steps = std::move(split);
  }
  for (const Step& step : steps)
    if (satisfiable(step.goal, thread.room) && contains_completable(step.next)) out.push_back(step);
}

bool SchemaShapes::remembers(const Thread& thread, const Json& item) const {
  const std::vector<int64_t>& seen_values = bits_[thread.c];
  return std::any_of(seen_values.begin(), seen_values.end(),
                     [&](int64_t value) { return values_[static_cast<size_t>(value)] == item; });
}

Thread SchemaShapes::remember(Thread thread, const Json& item) {
  const bool scalar = !item.is_array() && !item.is_object();
  std::vector<int64_t> seen_values = bits_[thread.c];
  auto index = static_cast<int64_t>(std::find(values_.begin(), values_.end(), item) - values_.begin());
  if (index == static_cast<int64_t>(values_.size())) {
    values_.push_back(item);
    value_literals_.push_back(scalar ? algebra_.equal_to(item) : 0);
  }
  seen_values.push_back(index);
  std::sort(seen_values.begin(), seen_values.end());
  thread.c = bits_.id(seen_values);
  return thread;
}

int64_t SchemaShapes::distinct_scalars(GoalId goal, int64_t cap) {
  const ValueSet& set = algebra_.expand(goal);
  int64_t n = (set.null ? 1 : 0) + (set.booleans & 1) + (set.booleans >> 1 & 1);
  if (n < cap) n += exprs_.count(exprs_.both(set.numbers, algebra_.shortest_numbers()), cap);
  if (n < cap) n += exprs_.count(set.strings, cap);
  return std::min(n, cap);
}

SchemaShapes::Containers SchemaShapes::containers(GoalId goal, int32_t room) {
  Containers found = Containers::none;
  for (const ObjectShape* o : shape(goal).objects) {
    if (!start(*o, 0, room)) continue;
    if (!(o->simple && o->open && satisfiable(o->classes[0].goal, room - 1))) return Containers::limited_objects;
    found = Containers::endless;
  }
  for (const ArrayShape* a : shape(goal).arrays) {
    if (!start(*a, 0, room)) continue;
    if (a->unique || !a->contains.empty() || max_items(*a, room - 1) != kUnlimited) return Containers::limited_arrays;
    found = Containers::endless;
  }
  return found;
}

// uniqueItems is exact where the next item can always be something new: unlimited scalars, or containers that can always go on; or where
// one finite list of scalars serves every position.
const char* SchemaShapes::keep_different(const ArrayShape& shape, int32_t room, int64_t& max) {
  if (!shape.contains.empty()) return "beside contains it cannot be enforced exactly";
  if (max <= 1) return nullptr;
  for (int64_t i = 0; i <= static_cast<int64_t>(shape.prefix.size()) && i < max; ++i) {
    const GoalId goal = item_goal(shape, i);
    switch (containers(goal, room)) {
      case Containers::limited_objects:
        return "items that are objects with a limited set of properties cannot be kept different";
      case Containers::limited_arrays:
        return "items that are arrays of limited length cannot be kept different";
      case Containers::endless:
        continue;
      case Containers::none:
        break;
    }
    const int64_t distinct = distinct_scalars(goal, kManyValues);
    if (distinct >= kManyValues) continue;
    // A finite list and other positions: who takes what would have to be planned.
    if (!shape.prefix.empty()) return "items from a finite list at some positions cannot be kept different";
    max = std::min(max, distinct);
  }
  return nullptr;
}

// ---- both

bool SchemaShapes::may_close(const Thread& t) {
  if (t.object) {
    if (t.c != 0 || t.b < t.object->min) return false;
    return missing(t).empty();
  }
  if (t.b < t.array->min) return false;
  for (size_t k = 0; k < t.array->contains.size(); ++k)
    if (bits_[t.a][k] < t.array->contains[k].min) return false;
  return true;
}

bool SchemaShapes::may_go_on(const Thread& t) {
  if (t.object) return exprs_.live(key_language(t));
  std::vector<Step> steps;
  next_items(t, steps);
  return !steps.empty();
}

// What is inside has less room, so the question ends, however the schema refers to itself.
bool SchemaShapes::satisfiable(GoalId goal, int32_t room) {
  if (goal == 0) return true;
  const auto at = static_cast<size_t>(goal);
  if (at >= heights_.size()) heights_.resize(algebra_.num_goals() + 64);
  if (room >= heights_[at].fits) return true;
  if (room <= heights_[at].too_high) return false;
  const Shape& s = shape(goal);
  const bool scalar = exprs_.live(s.strings) || exprs_.live(s.bare);
  const auto opens = [&](const auto* container) { return start(*container, 0, room).has_value(); };
  const bool fits =
      scalar || std::any_of(s.objects.begin(), s.objects.end(), opens) || std::any_of(s.arrays.begin(), s.arrays.end(), opens);
  Height& height = heights_[at];  // only now: asking makes goals
  if (fits)
    height.fits = std::min(height.fits, scalar ? 0 : room);
  else
    height.too_high = std::max(height.too_high, room);
  return fits;
}

bool SchemaShapes::text_matters() const {
  return std::any_of(arrays_.begin(), arrays_.end(), [](const auto& a) { return a->unique != 0; });
}

void SchemaShapes::check_all(GoalId root) {
  std::vector<GoalId> found{root};
  std::vector<bool> known;
  const auto visit = [&](GoalId goal) {
    if (static_cast<size_t>(goal) >= known.size()) known.resize(static_cast<size_t>(goal) + 256);
    if (known[static_cast<size_t>(goal)]) return;
    known[static_cast<size_t>(goal)] = true;
    found.push_back(goal);
  };
  const auto visit_with_duties = [&](GoalId goal, const std::vector<PropertyDuty>& duties) {
    for (uint32_t done = 0; done < 1u << duties.size(); ++done) {
      GoalId both = goal;
      for (size_t d = 0; d < duties.size(); ++d)
        if (done >> d & 1) both = algebra_.both(both, duties[d].lit);
      visit(both);
    }
  };
  for (size_t i = 0; i < found.size() && !algebra_.refusal(); ++i) {
    if (!satisfiable(found[i], room_)) continue;
    const Shape& s = shape(found[i]);
    for (const ObjectShape* o : s.objects) {
      if (!start(*o, 0, room_)) continue;
      for (size_t k = 0; k < o->named.size(); ++k) {
        if (!allowed(*o, static_cast<int32_t>(k), room_ - 1)) continue;
        visit_with_duties(o->named[k].goal, o->duties);
      }
      for (const ObjectShape::Class& c : o->classes) {
        visit_with_duties(c.goal, o->duties);
      }
    }
    for (const ArrayShape* a : s.arrays) {
      if (!start(*a, 0, room_)) continue;
      for (int64_t k = 0; k <= static_cast<int64_t>(a->prefix.size()); ++k) {
        if (k >= max_items(*a, room_ - 1)) break;
        visit(item_goal(*a, k));
        for (const ContainsRule& c : a->contains) {
          visit(algebra_.both(item_goal(*a, k), c.lit));
          if (c.max >= 0 && c.lit != 0) visit(algebra_.both(item_goal(*a, k), -c.lit));
        }
      }
    }
  }
  for (size_t i = 0; i < undecided_.size(); ++i) start(*undecided_[i], 0, room_);
}

}  // namespace quern
