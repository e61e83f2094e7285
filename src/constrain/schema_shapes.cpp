// What objects and arrays have in common; schema_objects.cpp and schema_arrays.cpp say how each is walked.
#include "constrain/schema_shapes.h"

#include <algorithm>

namespace quern {
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
