// A goal's alternatives, made ready to be walked member by member. A *thread* is one alternative of one array or object with what it has
// seen so far; it knows which names or items may come next, and never takes a step after which it could not be completed.
// Nesting is bounded, as it is for who reads the text: a value has *room* for so many arrays and objects inside one another, itself
// counted, and one that needs more is none.
// Where several properties or items are constrained together in a way whose completability is not decided exactly, the schema is refused.
// Not shared between threads of execution.
#pragma once

#include <compare>
#include <limits>
#include <map>
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
    bool forbidden = false;       // by its name
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
  int64_t min = 0, max = -1;  // max: -1 none
  std::vector<ContainsRule> contains;
  SchemaId unique = 0;
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
  int32_t room = 0;  // of the values inside
  friend auto operator<=>(const Thread&, const Thread&) = default;
};

struct Step {
  Thread next;
  GoalId goal;  // of the value that comes now
};

class SchemaShapes {
 public:
  SchemaShapes(SchemaAlgebra& algebra, int32_t room);  // room: the outermost value's

  struct Shape {
    ExprId strings = Exprs::kNothing;
    ExprId bare = Exprs::kNothing;  // null, true, false and numbers
    std::vector<const ObjectShape*> objects;
    std::vector<const ArrayShape*> arrays;
  };
  const Shape& shape(GoalId goal);
  bool satisfiable(GoalId goal, int32_t room);
  // Visits everything that can be reached from `root`, so that what cannot be enforced is found now and not on the way.
  void check_all(GoalId root);

  // The thread at the start of an object or array for which there is this room; nothing when it cannot be completed.
  std::optional<Thread> start(const ObjectShape& shape, int32_t slot, int32_t room);
  std::optional<Thread> start(const ArrayShape& shape, int32_t slot, int32_t room);
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
  int32_t room() const { return room_; }
  size_t size() const { return objects_.size() + arrays_.size() + bits_.size(); }

 private:
  const ObjectShape* make(const ObjectSet& set);
  const ArrayShape* make(const ArraySet& set);
  bool endless(ExprId names);
  void make_classes(const ObjectSet& set, ObjectShape& shape, ExprId names, std::vector<ExprId> patterns, size_t at);
  bool allowed(const ObjectShape& shape, int32_t index, int32_t room);
  bool seen(const Thread& thread, int32_t index) const;
  bool in_a_class(const Thread& thread, std::string_view name);
  std::vector<int32_t> missing(const Thread& thread);
  bool completable(const Thread& thread);
  bool duty_possible(const Thread& thread, const PropertyDuty& duty);
  bool contains_completable(const Thread& thread);
  bool contains_apart(const ArrayShape& shape, int32_t room);
  void undecided(const ArrayShape& shape, int32_t room, std::string path, std::string why);
  GoalId item_goal(const ArrayShape& shape, int64_t position) const;
  // How many items there can be with this room for each; -1 where they cannot be kept different for sure, as uniqueItems wants.
  int64_t max_items(const ArrayShape& shape, int32_t room);
  // nullptr, and max lowered to the number of different items; else why they cannot be kept different.
  const char* keep_different(const ArrayShape& shape, int32_t room, int64_t& max);
  // Whether there are values without end among the goal's arrays and objects.
  enum class Containers { none, endless, limited_arrays, limited_objects };
  Containers containers(GoalId goal, int32_t room);
  // Distinct null, booleans, numbers and strings, up to cap.
  int64_t distinct_scalars(GoalId goal, int64_t cap);

  struct ThreadHash {
    size_t operator()(const Thread& t) const;
  };

  SchemaAlgebra& algebra_;
  Exprs& exprs_;
  std::vector<std::unique_ptr<Shape>> shapes_;  // by goal
  const int32_t room_;
  // Of a goal's lowest value, as far as it was asked: the least room known to do, and the most known not to.
  struct Height {
    int32_t fits = std::numeric_limits<int32_t>::max(), too_high = -1;
  };
  std::vector<Height> heights_;  // by goal
  std::map<std::pair<const ArrayShape*, int32_t>, int64_t> max_items_;
  std::vector<const ArrayShape*> undecided_;  // with less room than the outermost value has
  std::vector<std::unique_ptr<ObjectShape>> objects_;
  std::vector<std::unique_ptr<ArrayShape>> arrays_;
  Interner<std::vector<int64_t>, HashWords> bits_;  // sets of names, counts of contains, lists of values
  std::vector<Json> values_;                        // seen by uniqueItems
  std::vector<SchemaLit> value_literals_;           // their constants; 0 for arrays and objects
  std::unordered_map<Thread, ExprId, ThreadHash> key_languages_;
};

}  // namespace quern
