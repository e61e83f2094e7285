// A goal's alternatives, made ready to be walked member by member. A *thread* is one alternative of one array or object with what it has
// seen so far; it knows which names or items may come next, and never takes a step after which it could not be completed.
// Where several properties or items are constrained together in a way whose completability is not decided exactly, the schema is refused.
// Not shared between threads of execution.
#pragma once

#include <compare>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "constrain/interner.h"
#include "constrain/schema_algebra.h"

namespace quern {

struct ObjectShape {
  struct Named {
    std::string name;
    GoalId goal = 0;
    bool required = false;
    int8_t allowed = -1;          // whether some value fits; -1: not asked yet
    std::vector<int32_t> brings;  // names (by index) that must be there when this one is
  };
  struct Class {
    ExprId names;  // of the properties that are not named
    GoalId goal;
  };
  std::vector<Named> named;  // sorted
  std::unordered_map<std::string_view, int32_t> by_name;
  std::shared_ptr<const NameSet> names;  // of `named`
  std::vector<Class> classes;
  bool open = false;  // one class, of every name
  // Every class can be gone on with for ever, wherever one is: a name that is taken or has no value is told at its end, by another name.
  bool endless = false;
  bool simple = false;  // no maximum, duties or dependents: any key may come at any time
  int64_t min = 0, max = -1;
  std::vector<PropertyDuty> duties;
};

struct ArrayShape {
  std::vector<GoalId> prefix;
  GoalId rest = 0;
  int64_t min = 0, max = -1;  // max: -1 none; lowered to where an item has no value
  std::vector<ContainsRule> contains;
  SchemaId unique = 0;
  bool unique_checked = false;
};

// Of an object: a names seen (id of a set), b properties so far (up to what matters), c duties still to do, as bits.
// Of an array: a matches of each contains (id of a list), b items so far (up to what matters), c values seen (id), for uniqueItems.
struct Thread {
  const ObjectShape* object = nullptr;
  const ArrayShape* array = nullptr;
  int32_t slot = 0;  // which of the values its container is read for
  uint32_t a = 0;
  int64_t b = 0;
  uint32_t c = 0;
  friend auto operator<=>(const Thread&, const Thread&) = default;
};

struct Step {
  Thread next;
  GoalId goal;  // of the value that comes now
};

class SchemaShapes {
 public:
  explicit SchemaShapes(SchemaAlgebra& algebra);

  struct Shape {
    ExprId strings = Exprs::kNothing;
    ExprId bare = Exprs::kNothing;  // null, true, false and numbers
    std::vector<const ObjectShape*> objects;
    std::vector<const ArrayShape*> arrays;
  };
  const Shape& shape(GoalId goal);
  bool satisfiable(GoalId goal);
  // Visits everything that can be reached from `root`, so that what cannot be enforced is found now and not on the way.
  void check_all(GoalId root);

  // The thread at the start of an object or array; nothing when it cannot be completed.
  std::optional<Thread> start(const ObjectShape& shape, int32_t slot);
  std::optional<Thread> start(const ArrayShape& shape, int32_t slot);
  // The names that may come next, given as a language; names already there are left out where the object names them.
  ExprId key_language(const Thread& thread);
  void take_key(const Thread& thread, std::string_view name, std::vector<Step>& out);
  void next_items(const Thread& thread, std::vector<Step>& out);
  bool may_close(const Thread& thread);
  bool may_go_on(const Thread& thread);  // another key or item may come
  // For arrays with uniqueItems: whether the item was there already; the thread that knows it was.
  bool remembers(const Thread& thread, const Json& item) const;
  Thread remember(Thread thread, const Json& item);

  bool text_matters() const;  // some array wants all its items different
  SchemaAlgebra& algebra() { return algebra_; }
  size_t size() const { return objects_.size() + arrays_.size() + bits_.size(); }

 private:
  const ObjectShape* make(const ObjectSet& set);
  const ArrayShape* make(const ArraySet& set);
  bool endless(ExprId names);
  void make_classes(const ObjectSet& set, ObjectShape& shape, ExprId names, std::vector<ExprId> patterns, size_t at);
  bool satisfiable(const ObjectShape& shape);
  bool satisfiable(const ArrayShape& shape);
  bool allowed(const ObjectShape& shape, int32_t index);
  bool seen(const Thread& thread, int32_t index) const;
  bool in_a_class(const ObjectShape& shape, std::string_view name);
  std::vector<int32_t> missing(const Thread& thread);
  bool completable(const Thread& thread);
  bool duty_possible(const Thread& thread, const PropertyDuty& duty);
  bool contains_completable(const Thread& thread);
  GoalId item_goal(const ArrayShape& shape, int64_t position) const;
  void check_unique(ArrayShape& shape);
  // Distinct null, booleans, numbers and strings, up to cap.
  int64_t distinct_scalars(GoalId goal, int64_t cap);

  struct ThreadHash {
    size_t operator()(const Thread& t) const;
  };

  SchemaAlgebra& algebra_;
  Exprs& exprs_;
  std::vector<std::unique_ptr<Shape>> shapes_;  // by goal
  std::vector<int8_t> satisfiable_;             // by goal: 0 unknown, 1 yes, 2 no, 3 on the way
  bool met_unknown_ = false;
  int asking_ = 0;  // goals being asked, inside one another
  std::vector<std::unique_ptr<ObjectShape>> objects_;
  std::vector<std::unique_ptr<ArrayShape>> arrays_;
  Interner<std::vector<int64_t>, HashWords> bits_;  // sets of names, counts of contains, lists of values
  std::vector<Json> values_;                        // seen by uniqueItems
  std::vector<SchemaLit> value_literals_;           // their constants; 0 for arrays and objects
  std::unordered_map<Thread, ExprId, ThreadHash> key_languages_;
};

}  // namespace quern
