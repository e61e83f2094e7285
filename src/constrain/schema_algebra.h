// What a JSON Schema admits, as sets of JSON values closed under and, or, not.
//
// A *literal* is a subschema or its negation; a *goal* is a conjunction of literals, the thing one JSON value has to satisfy. A goal's
// ValueSet is its disjunctive normal form, taken apart by JSON type: one language of strings, one of numbers, and alternatives for
// arrays and objects whose members are goals again, expanded when somebody gets there. allOf intersects, anyOf unites, `not` and
// if/then/else push the negation down (not properties:{a:S} = an `a` that is not S), oneOf negates what its branches share. Goals are
// sets of literals of one document, so there are finitely many and recursion needs no special case.
//
// Nothing is approximated: what this algebra cannot express is refused with the keyword's path. Not shared between threads.
#pragma once

#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "constrain/expr.h"
#include "constrain/schema_document.h"

namespace quern {

using SchemaLit = int32_t;  // +id: the subschema holds; -id: it does not; 0: anything goes
using GoalId = int32_t;     // 0: anything goes

// prefix[i] for the items that have one, `rest` for the others.
struct ItemRule {
  std::vector<SchemaLit> prefix;
  SchemaLit rest = 0;
};

// Between min and max of the items from position `from` on satisfy `lit`.
struct ContainsRule {
  SchemaLit lit = 0;
  int64_t from = 0, min = 0, max = -1;  // max -1: none
  friend bool operator==(const ContainsRule&, const ContainsRule&) = default;
};

struct ArraySet {
  std::vector<std::shared_ptr<const ItemRule>> rules;
  int64_t min = 0, max = -1;
  std::vector<ContainsRule> contains;
  SchemaId unique = 0;  // the schema that wants all items different; 0: none does
  friend bool operator==(const ArraySet&, const ArraySet&) = default;
};

// One schema's properties, patternProperties and additionalProperties, which are about one another.
struct PropertyRule {
  std::map<std::string, SchemaLit, std::less<>> named;
  std::vector<std::pair<ExprId, SchemaLit>> patterns;
  SchemaLit other = 0;
};

// Some property whose name is in `names` has a value that satisfies `lit`.
struct PropertyDuty {
  ExprId names = Exprs::kAll;
  SchemaLit lit = 0;
  friend bool operator==(const PropertyDuty&, const PropertyDuty&) = default;
};

struct ObjectSet {
  std::vector<std::shared_ptr<const PropertyRule>> rules;
  std::vector<std::string> required;  // sorted
  int64_t min = 0, max = -1;
  ExprId names = Exprs::kAll;  // of every property
  std::vector<PropertyDuty> duties;
  std::vector<std::pair<std::string, std::vector<std::string>>> dependent;  // the first brings the others
  friend bool operator==(const ObjectSet&, const ObjectSet&) = default;
};

struct ValueSet {
  bool null = false;
  uint8_t booleans = 0;              // bit 0: false, bit 1: true
  ExprId numbers = Exprs::kNothing;  // texts without exponent, of whatever length
  // Texts with one. Where nobody works out which (integers, multiples), none: a spelling that is masked out, whether negated or not.
  ExprId exponents = Exprs::kNothing;
  ExprId strings = Exprs::kNothing;
  std::vector<ArraySet> arrays;
  std::vector<ObjectSet> objects;
};

enum class NumberSpelling {
  any_plain,  // 1, 1.0, 1.50: whatever a dump may write of a value
  shortest,  // one text for a value, without exponent: 1, 1.5; for generation, lest a model that began a fraction adds zeros for ever
};

struct SchemaOptions {
  bool assert_formats = true;
  NumberSpelling numbers = NumberSpelling::any_plain;
};

class SchemaAlgebra {
 public:
  SchemaAlgebra(SchemaDocument& document, Exprs& exprs, SchemaOptions options);

  GoalId goal(std::vector<SchemaLit> literals);
  GoalId both(GoalId a, SchemaLit lit);
  const std::vector<SchemaLit>& literals(GoalId goal) const { return goals_[static_cast<size_t>(goal)]; }
  // The goal's values; references stay valid. After a refusal: no values.
  const ValueSet& expand(GoalId goal);
  // The literal `value is exactly this`, for items that must differ.
  SchemaLit equal_to(const Json& value);
  SchemaLit never() const { return never_; }

  const Refusal* refusal() const { return refusal_.reason.empty() ? nullptr : &refusal_; }
  void refuse(std::string path, std::string reason);
  Exprs& exprs() { return exprs_; }
  ExprId plain_numbers() const { return plain_numbers_; }
  ExprId exponent_numbers() const { return exponent_numbers_; }
  ExprId shortest_numbers() const { return shortest_numbers_; }  // every value has exactly one
  // Those without exponent that may be written: as options().numbers says, and within a double's range.
  ExprId spelled_numbers() const { return spelled_numbers_; }
  const SchemaOptions& options() const { return options_; }
  const std::string& path(SchemaLit lit) const { return document_.path(std::abs(lit)); }
  size_t num_goals() const { return goals_.size(); }

 private:
  friend class KeywordReader;

  ValueSet any() const;
  ValueSet intersect(const ValueSet& a, const ValueSet& b);
  ValueSet unite(const ValueSet& a, const ValueSet& b);
  const ValueSet& set_of(SchemaLit lit);
  ValueSet compute(SchemaLit lit);
  // Whether no value is in both, seen without doubt; false when in doubt.
  bool disjoint(const ValueSet& a, const ValueSet& b);
  bool surely_empty(GoalId goal, int depth);
  bool surely_empty(const ValueSet& set, int depth);
  bool surely_empty(const ObjectSet& set, int depth);
  void limit(ValueSet& set);
  void too_many();

  SchemaDocument& document_;
  Exprs& exprs_;
  SchemaOptions options_;
  Refusal refusal_;
  SchemaLit never_ = 0;
  ExprId plain_numbers_ = 0, exponent_numbers_ = 0, shortest_numbers_ = 0, spelled_numbers_ = 0;
  std::vector<std::vector<SchemaLit>> goals_;
  std::map<std::vector<SchemaLit>, GoalId> goal_ids_;
  std::vector<std::unique_ptr<ValueSet>> expanded_;
  std::unordered_map<GoalId, std::pair<GoalId, SchemaLit>> made_from_;  // an expanded goal and one literal more
  std::unordered_map<SchemaLit, std::unique_ptr<ValueSet>> sets_;       // nullptr: on the way
  std::vector<std::unique_ptr<ValueSet>> passing_;                      // results of probes that met a set on the way
  std::unordered_map<std::string, SchemaLit> constants_;
  std::vector<SchemaId> reading_;  // subschemas being computed, innermost last
  int64_t work_ = 0;
  int probing_ = 0;
  bool probe_met_ = false;
};

// The goal of a property: what all rules together say of this name.
std::vector<SchemaLit> property_literals(const ObjectSet& set, Exprs& exprs, std::string_view name);
// The goal of the item at this position.
std::vector<SchemaLit> item_literals(const ArraySet& set, size_t position);

}  // namespace quern
