// One subschema's keywords, read into the sets they admit or, negated, into what they forbid. What each draft knows is decided here.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "constrain/schema_algebra.h"

namespace quern {

inline std::shared_ptr<const PropertyRule> property_rule(PropertyRule rule) {
  return std::make_shared<const PropertyRule>(std::move(rule));
}
inline std::shared_ptr<const ItemRule> item_rule(ItemRule rule) { return std::make_shared<const ItemRule>(std::move(rule)); }

class KeywordReader {
 public:
  KeywordReader(SchemaAlgebra& algebra_in, SchemaDocument& document_in, Exprs& exprs_in, const SchemaOptions& options_in,
                SchemaId id_in)
      : algebra(algebra_in), document(document_in), exprs(exprs_in), options(options_in), id(id_in) {}

  // The values that satisfy the subschema; or those that do not.
  ValueSet read(bool positive);

 private:
  // What of an object's properties or an array's items a branch has evaluated (unevaluatedProperties, unevaluatedItems).
  struct Evaluated {
    std::vector<std::string> names;
    std::vector<ExprId> patterns;
    bool all_properties = false;
    size_t items = 0;
    bool all_items = false, some_items = false;  // some: those that `contains` found
  };
  struct Branch {
    ValueSet set;
    Evaluated evaluated;
  };

  const Json& json() const { return document.json(id); }
  Draft draft() const { return document.draft(id); }
  const Json* find(std::string_view keyword) const { return json().find(keyword); }
  std::nullopt_t refuse(std::string_view keyword, std::string reason);
  std::nullopt_t invalid(std::string_view keyword, std::string_view expected);
  SchemaLit sub(std::string_view keyword, const Json& schema);
  SchemaLit sub(std::string_view keyword, std::string_view step, const Json& schema);
  SchemaLit reference(std::string_view keyword, const Json& value);
  std::vector<SchemaLit> list(std::string_view keyword);
  std::optional<int64_t> count(std::string_view keyword);

  ValueSet any() const { return algebra.any(); }
  SchemaLit inverse(SchemaLit lit) const;  // the literal that holds where this one does not
  ValueSet values(SchemaLit lit);
  ValueSet strings(ExprId e, bool positive);
  ValueSet objects(ObjectSet set);  // anything but an object, or an object of this set
  ValueSet only_objects(ObjectSet set);
  ValueSet arrays(ArraySet set);
  ValueSet only_arrays(ArraySet set);
  ObjectSet forbids(const std::string& name);
  void add(ValueSet set, bool positive);

  void read_references(bool positive);
  void read_type(bool positive);
  ValueSet type_set(std::string_view keyword, const Json& name);
  void read_constants(bool positive);
  ValueSet constant(const Json& value);
  void read_numbers(bool positive);
  void read_strings(bool positive);
  void read_properties(bool positive);
  void read_property_counts(bool positive);
  void read_dependencies(bool positive);
  void dependent_names(std::string_view keyword, const std::string& name, const Json& names, bool positive);
  void dependent_schema(const std::string& name, SchemaLit lit, bool positive);
  // minX and maxX: how many members there are; `in_any` and `in_only` are objects() and only_objects(), or the same of arrays.
  template <class Set>
  void read_counts(std::string_view least, std::string_view most, ValueSet (KeywordReader::*in_any)(Set),
                   ValueSet (KeywordReader::*in_only)(Set), bool positive);
  void read_items(bool positive);
  void read_contains(bool positive);
  void read_logic(bool positive);
  ValueSet one_of(const std::vector<SchemaLit>& branches, bool positive);
  void read_conditional(bool positive);
  void read_own(bool positive);       // what says something about the value itself
  void read_in_place(bool positive);  // what applies other schemas to the same value
  bool has_unevaluated() const;
  ValueSet read_unevaluated(bool positive);
  std::vector<Branch> branches(int depth);
  std::vector<Branch> branches_of(SchemaLit lit, int depth);
  std::vector<Branch> cross(const std::vector<Branch>& a, const std::vector<Branch>& b);
  Evaluated own_evaluated();

  SchemaAlgebra& algebra;
  SchemaDocument& document;
  Exprs& exprs;
  const SchemaOptions& options;
  SchemaId id;
  ValueSet result;
};

}  // namespace quern
