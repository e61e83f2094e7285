// Arrays: which items may come next, and whether enough of them can match, be there or be different.
#include <algorithm>

#include "constrain/schema_shapes.h"

namespace quern {
namespace {

constexpr int64_t kManyValues = 1'000'000;  // more distinct values than any list has
constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();

}  // namespace

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

}  // namespace quern
