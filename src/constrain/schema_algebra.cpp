#include "constrain/schema_algebra.h"

#include <algorithm>

#include "constrain/exponent_language.h"
#include "constrain/number_language.h"
#include "constrain/schema_keywords.h"

namespace quern {
namespace {

constexpr size_t kMaxAlternatives = 512;  // of one goal, by arrays and by objects
constexpr size_t kMaxGoals = 100'000;
constexpr int64_t kMaxWork = 400'000;     // pairs of alternatives that are put together while one schema is compiled
constexpr size_t kMaxReadingDepth = 600;  // subschemas and references inside one another, in place
constexpr int kProbeDepth = 4;            // how deep a doubt about emptiness is followed

int64_t smaller_max(int64_t a, int64_t b) { return a < 0 ? b : b < 0 ? a : std::min(a, b); }

template <class T>
void append_new(std::vector<T>& to, const std::vector<T>& from) {
  for (const T& x : from)
    if (std::find(to.begin(), to.end(), x) == to.end()) to.push_back(x);
}

bool contradicts_itself(const ArraySet& a) { return a.max >= 0 && a.min > a.max; }

bool contradicts_itself(const ObjectSet& o) {
  if (o.max >= 0 && (o.min > o.max || static_cast<int64_t>(o.required.size()) > o.max)) return true;
  return o.names == Exprs::kNothing && (o.min > 0 || !o.required.empty() || !o.duties.empty());
}

template <class T>
bool includes(const std::vector<T>& all, const std::vector<T>& some) {
  return std::all_of(some.begin(), some.end(), [&](const T& x) { return std::find(all.begin(), all.end(), x) != all.end(); });
}

// Every object of `narrow` is one of `wide`, seen from their forms: wide asks for nothing that narrow does not ask for.
bool covers(const ObjectSet& wide, const ObjectSet& narrow) {
  return wide.min <= narrow.min && (wide.max < 0 || wide.max == narrow.max) &&
         (wide.names == Exprs::kAll || wide.names == narrow.names) && wide.rules.size() <= narrow.rules.size() &&
         includes(narrow.required, wide.required) && includes(narrow.rules, wide.rules) && includes(narrow.duties, wide.duties) &&
         includes(narrow.dependent, wide.dependent);
}

}  // namespace

SchemaAlgebra::SchemaAlgebra(SchemaDocument& document, Exprs& exprs, SchemaOptions options)
    : document_(document), exprs_(exprs), options_(options) {
  plain_numbers_ = number_plain(exprs_);
  exponent_numbers_ = number_with_exponent(exprs_);
  shortest_numbers_ = number_shortest(exprs_);
  spelled_numbers_ = number_finite(exprs_);
  if (options_.numbers == NumberSpelling::shortest) spelled_numbers_ = exprs_.both(spelled_numbers_, shortest_numbers_);
  never_ = document_.synthetic(Json(false), "");
  goals_.emplace_back();
  goal_ids_.emplace(goals_[0], 0);
  expanded_.push_back(std::make_unique<ValueSet>(any()));
}

void SchemaAlgebra::refuse(std::string path, std::string reason) {
  if (refusal_.reason.empty()) refusal_ = {std::move(path), std::move(reason)};
}

ValueSet SchemaAlgebra::any() const {
  return {.null = true,
          .booleans = 3,
          .numbers = plain_numbers_,
          .exponents = exponent_numbers_,
          .strings = Exprs::kAll,
          .arrays = {ArraySet{}},
          .objects = {ObjectSet{}}};
}

GoalId SchemaAlgebra::goal(std::vector<SchemaLit> literals) {
  std::erase(literals, 0);
  std::sort(literals.begin(), literals.end());
  literals.erase(std::unique(literals.begin(), literals.end()), literals.end());
  for (const SchemaLit lit : literals)
    if (lit == never_ || (lit > 0 && std::binary_search(literals.begin(), literals.end(), -lit))) {
      literals = {never_};
      break;
    }
  const auto [it, is_new] = goal_ids_.try_emplace(literals, static_cast<GoalId>(goals_.size()));
  if (is_new) {
    if (goals_.size() >= kMaxGoals) {
      refuse("#", "too many combinations of subschemas");
      goal_ids_.erase(it);
      return goal({never_});
    }
    goals_.push_back(std::move(literals));
    expanded_.emplace_back();
  }
  return it->second;
}

GoalId SchemaAlgebra::both(GoalId a, SchemaLit lit) {
  std::vector<SchemaLit> all = literals(a);
  all.push_back(lit);
  const GoalId both = goal(std::move(all));
  if (both != a && !expanded_[static_cast<size_t>(both)] && expanded_[static_cast<size_t>(a)] && lit != never_)
    made_from_.try_emplace(both, a, lit);
  return both;
}

const ValueSet& SchemaAlgebra::expand(GoalId id) {
  if (const auto& known = expanded_[static_cast<size_t>(id)]) return *known;
  ValueSet set = any();
  const bool met_before = std::exchange(probe_met_, false);
  std::vector<SchemaLit> literals = goals_[static_cast<size_t>(id)];
  if (const auto made = made_from_.find(id); made != made_from_.end()) {
    set = intersect(*expanded_[static_cast<size_t>(made->second.first)], set_of(made->second.second));
    literals.clear();
  }
  for (size_t i = 0; i < literals.size(); ++i) set = i == 0 ? set_of(literals[i]) : intersect(set, set_of(literals[i]));
  const bool passing = probing_ > 0 && probe_met_;
  probe_met_ |= met_before;
  if (refusal()) set = ValueSet{};
  auto owned = std::make_unique<ValueSet>(std::move(set));
  if (passing) return *passing_.emplace_back(std::move(owned));
  expanded_[static_cast<size_t>(id)] = std::move(owned);
  return *expanded_[static_cast<size_t>(id)];
}

const ValueSet& SchemaAlgebra::set_of(SchemaLit lit) {
  static const ValueSet nothing;
  const auto [it, is_new] = sets_.try_emplace(lit);
  if (!is_new) {
    if (it->second) return *it->second;
    // Met while it is being computed: in a probe that is only a doubt, otherwise the schema refers to itself in place.
    if (probing_ > 0)
      probe_met_ = true;
    else
      refuse(document_.path(std::abs(lit)), "the schema refers to itself in place, which means nothing");
    return nothing;
  }
  const bool met_before = std::exchange(probe_met_, false);
  ValueSet set = compute(lit);
  const bool passing = probing_ > 0 && probe_met_;
  probe_met_ |= met_before;
  auto owned = std::make_unique<ValueSet>(std::move(set));
  if (passing) {
    sets_.erase(lit);
    return *passing_.emplace_back(std::move(owned));
  }
  return *(sets_[lit] = std::move(owned));
}

ValueSet SchemaAlgebra::compute(SchemaLit lit) {
  if (refusal()) return {};
  if (reading_.size() >= kMaxReadingDepth) {
    refuse(document_.path(std::abs(lit)), "too many schemas applied inside one another");
    return {};
  }
  reading_.push_back(std::abs(lit));
  KeywordReader reader(*this, document_, exprs_, options_, std::abs(lit));
  ValueSet set = reader.read(lit > 0);
  reading_.pop_back();
  if (exprs_.exhausted()) refuse(document_.path(std::abs(lit)), "too large to compile");
  return set;
}

ValueSet SchemaAlgebra::unite(const ValueSet& a, const ValueSet& b) {
  ValueSet out = a;
  out.null |= b.null;
  out.booleans |= b.booleans;
  out.numbers = exprs_.any_of(a.numbers, b.numbers);
  out.exponents = exprs_.any_of(a.exponents, b.exponents);
  out.strings = exprs_.any_of(a.strings, b.strings);
  append_new(out.arrays, b.arrays);
  append_new(out.objects, b.objects);
  limit(out);
  return out;
}

ValueSet SchemaAlgebra::intersect(const ValueSet& a, const ValueSet& b) {
  ValueSet out;
  out.null = a.null && b.null;
  out.booleans = a.booleans & b.booleans;
  out.numbers = exprs_.both(a.numbers, b.numbers);
  out.exponents = exprs_.both(a.exponents, b.exponents);
  out.strings = exprs_.both(a.strings, b.strings);
  work_ += static_cast<int64_t>(a.arrays.size() * b.arrays.size() + a.objects.size() * b.objects.size());
  if (work_ > kMaxWork || a.arrays.size() * b.arrays.size() > 16 * kMaxAlternatives ||
      a.objects.size() * b.objects.size() > 64 * kMaxAlternatives) {
    too_many();
    return out;
  }
  for (const ArraySet& x : a.arrays)
    for (const ArraySet& y : b.arrays) {
      ArraySet both = x;
      append_new(both.rules, y.rules);
      append_new(both.contains, y.contains);
      both.min = std::max(x.min, y.min);
      both.max = smaller_max(x.max, y.max);
      if (both.unique == 0) both.unique = y.unique;
      if (!contradicts_itself(both)) out.arrays.push_back(std::move(both));
    }
  for (const ObjectSet& x : a.objects)
    for (const ObjectSet& y : b.objects) {
      ObjectSet both = x;
      append_new(both.rules, y.rules);
      append_new(both.duties, y.duties);
      append_new(both.dependent, y.dependent);
      append_new(both.required, y.required);
      std::sort(both.required.begin(), both.required.end());
      both.min = std::max(x.min, y.min);
      both.max = smaller_max(x.max, y.max);
      both.names = exprs_.both(x.names, y.names);
      if (!contradicts_itself(both)) out.objects.push_back(std::move(both));
    }
  limit(out);
  return out;
}

// Alternatives that are part of another, or admit nothing, are dropped when there are several; too many that stay are refused.
void SchemaAlgebra::limit(ValueSet& set) {
  constexpr size_t kSeveral = 3, kMany = 8;
  if (set.objects.size() > kSeveral) {
    std::vector<ObjectSet> kept;
    for (ObjectSet& o : set.objects) {
      work_ += static_cast<int64_t>(kept.size() / 8);
      if (work_ > kMaxWork || kept.size() > 4 * kMaxAlternatives) {
        too_many();
        return;
      }
      if (std::any_of(kept.begin(), kept.end(), [&](const ObjectSet& k) { return covers(k, o); })) continue;
      std::erase_if(kept, [&](const ObjectSet& k) { return covers(o, k); });
      kept.push_back(std::move(o));
    }
    set.objects = std::move(kept);
  }
  if (set.objects.size() > kMany && probing_ == 0) {
    ++probing_;
    std::erase_if(set.objects, [&](const ObjectSet& o) { return surely_empty(o, kProbeDepth); });
    --probing_;
  }
  if (set.objects.size() <= kMaxAlternatives && set.arrays.size() <= kMaxAlternatives) return;
  too_many();
  set.objects.clear();
  set.arrays.clear();
}

// In a probe a doubt is enough.
void SchemaAlgebra::too_many() {
  if (probing_ > 0 && work_ <= kMaxWork)
    probe_met_ = true;
  else
    refuse(document_.path(reading_.empty() ? 1 : reading_.back()),
           "the alternatives (anyOf, oneOf, not, if) combine to too many cases");
}

bool SchemaAlgebra::disjoint(const ValueSet& a, const ValueSet& b) {
  ++probing_;
  const bool met_before = std::exchange(probe_met_, false);
  const ValueSet both = intersect(a, b);
  const bool empty = surely_empty(both, kProbeDepth) && !probe_met_;
  probe_met_ |= met_before;
  --probing_;
  return empty;
}

bool SchemaAlgebra::surely_empty(const ValueSet& set, int depth) {
  if (set.null || set.booleans || exprs_.live(set.exponents) || exprs_.live(set.numbers) || exprs_.live(set.strings)) return false;
  for (const ArraySet& a : set.arrays) {
    if (a.min == 0 || depth == 0) return false;
    if (!surely_empty(goal(item_literals(a, 0)), depth - 1)) return false;
  }
  return std::all_of(set.objects.begin(), set.objects.end(), [&](const ObjectSet& o) { return surely_empty(o, depth); });
}

bool SchemaAlgebra::surely_empty(const ObjectSet& set, int depth) {
  if (contradicts_itself(set)) return true;
  if (depth == 0) return false;
  return std::any_of(set.required.begin(), set.required.end(), [&](const std::string& name) {
    return !exprs_.matches(set.names, name) || surely_empty(goal(property_literals(set, exprs_, name)), depth - 1);
  });
}

bool SchemaAlgebra::surely_empty(GoalId id, int depth) {
  if (id == 0) return false;
  const bool met_before = std::exchange(probe_met_, false);
  const bool empty = surely_empty(expand(id), depth) && !probe_met_;
  probe_met_ |= met_before;
  return empty;
}

SchemaLit SchemaAlgebra::equal_to(const Json& value) {
  const std::string text = value.dump();
  const auto [it, is_new] = constants_.try_emplace(text, 0);
  if (is_new) {
    Json schema = Json::object();
    schema["const"] = value;
    it->second = document_.synthetic(std::move(schema), "#");
  }
  return it->second;
}

std::vector<SchemaLit> property_literals(const ObjectSet& set, Exprs& exprs, std::string_view name) {
  std::vector<SchemaLit> out;
  for (const auto& rule : set.rules) {
    bool mentioned = false;
    if (const auto it = rule->named.find(name); it != rule->named.end()) {
      out.push_back(it->second);
      mentioned = true;
    }
    for (const auto& [pattern, lit] : rule->patterns)
      if (exprs.matches(pattern, name)) {
        out.push_back(lit);
        mentioned = true;
      }
    if (!mentioned) out.push_back(rule->other);
  }
  return out;
}

std::vector<SchemaLit> item_literals(const ArraySet& set, size_t position) {
  std::vector<SchemaLit> out;
  for (const auto& rule : set.rules) out.push_back(position < rule->prefix.size() ? rule->prefix[position] : rule->rest);
  return out;
}

}  // namespace quern
