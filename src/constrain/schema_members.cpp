// The keywords about what is inside: an object's properties, an array's items, and how many there are.
#include <algorithm>

#include "constrain/regex.h"
#include "constrain/schema_keywords.h"

namespace quern {

template <class Set>
void KeywordReader::read_counts(std::string_view least, std::string_view most, ValueSet (KeywordReader::*in_any)(Set),
                                ValueSet (KeywordReader::*in_only)(Set), bool positive) {
  if (const auto min = count(least)) {
    if (positive)
      add((this->*in_any)({.min = *min}), true);
    else if (*min > 0)
      add((this->*in_only)({.max = *min - 1}), false);
  }
  if (const auto max = count(most)) add(positive ? (this->*in_any)({.max = *max}) : (this->*in_only)({.min = *max + 1}), positive);
}

void KeywordReader::read_properties(bool positive) {
  PropertyRule rule;
  ExprId mentioned = Exprs::kNothing;
  if (const Json* named = find("properties")) {
    if (!named->is_object()) {
      invalid("properties", "an object of schemas");
      return;
    }
    std::vector<std::string> names;
    for (const auto& [name, schema] : named->as_object()) {
      rule.named.emplace(name, sub("properties", "properties/" + escape_pointer(name), schema));
      names.push_back(name);
    }
    if (!positive || find("patternProperties")) mentioned = exprs.literals(names);
  }
  if (const Json* patterns = find("patternProperties")) {
    if (!patterns->is_object()) {
      invalid("patternProperties", "an object of schemas");
      return;
    }
    for (const auto& [pattern, schema] : patterns->as_object()) {
      const auto language = parse_regex(exprs, pattern, RegexSemantics::search);
      if (!language) {
        refuse("patternProperties", language.error().message);
        return;
      }
      rule.patterns.emplace_back(*language, sub("patternProperties", "patternProperties/" + escape_pointer(pattern), schema));
      mentioned = exprs.any_of(mentioned, *language);
    }
  }
  if (const Json* other = find("additionalProperties")) rule.other = sub("additionalProperties", *other);
  if (rule.other == 0) {  // what says nothing need not be told apart from what is not mentioned
    std::erase_if(rule.named, [](const auto& entry) { return entry.second == 0; });
    std::erase_if(rule.patterns, [](const auto& entry) { return entry.second == 0; });
  }
  if (positive) {
    const bool says_nothing = rule.other == 0 &&
                              std::all_of(rule.named.begin(), rule.named.end(), [](const auto& n) { return n.second == 0; }) &&
                              std::all_of(rule.patterns.begin(), rule.patterns.end(), [](const auto& p) { return p.second == 0; });
    if (!says_nothing) add(objects({.rules = {property_rule(std::move(rule))}}), true);
    return;
  }
  for (const auto& [name, lit] : rule.named)
    if (lit != 0)
      add(only_objects(
              {.rules = {property_rule({.named = {{name, inverse(lit)}}, .patterns = {}, .other = 0})}, .required = {name}}),
          false);
  for (const auto& [pattern, lit] : rule.patterns)
    if (lit != 0) add(only_objects({.duties = {{.names = pattern, .lit = inverse(lit)}}}), false);
  if (rule.other != 0) add(only_objects({.duties = {{.names = exprs.complement(mentioned), .lit = inverse(rule.other)}}}), false);
}

void KeywordReader::read_property_counts(bool positive) {
  if (const Json* required = find("required")) {
    if (!required->is_array()) {
      invalid("required", "a list of names");
      return;
    }
    ObjectSet all;
    for (const Json& name : required->as_array()) {
      if (!name.is_string()) {
        invalid("required", "a list of names");
        return;
      }
      all.required.push_back(name.as_string());
      if (!positive) add(only_objects(forbids(name.as_string())), false);
    }
    std::sort(all.required.begin(), all.required.end());
    all.required.erase(std::unique(all.required.begin(), all.required.end()), all.required.end());
    if (positive) add(objects(std::move(all)), true);
  }
  read_counts("minProperties", "maxProperties", &KeywordReader::objects, &KeywordReader::only_objects, positive);
  if (const Json* names = find("propertyNames"); names && draft() > Draft::draft4) {
    const SchemaLit lit = sub("propertyNames", *names);
    if (positive)
      add(objects({.names = algebra.expand(algebra.goal({lit})).strings}), true);
    else if (lit != 0)
      add(only_objects({.duties = {{.names = algebra.expand(algebra.goal({inverse(lit)})).strings, .lit = 0}}}), false);
  }
}

void KeywordReader::dependent_names(std::string_view keyword, const std::string& name, const Json& names, bool positive) {
  std::vector<std::string> all;
  for (const Json& other : names.as_array()) {
    if (!other.is_string()) {
      invalid(keyword, "a list of names");
      return;
    }
    all.push_back(other.as_string());
    if (!positive && other.as_string() != name) {
      ObjectSet lacks = forbids(other.as_string());
      lacks.required = {name};
      add(only_objects(std::move(lacks)), false);
    }
  }
  if (positive && !all.empty()) add(objects({.dependent = {{name, std::move(all)}}}), true);
}

void KeywordReader::dependent_schema(const std::string& name, SchemaLit lit, bool positive) {
  if (lit == 0) return;
  const ValueSet with = algebra.intersect(only_objects({.required = {name}}), values(positive ? lit : inverse(lit)));
  add(positive ? algebra.unite(objects(forbids(name)), with) : with, positive);
}

void KeywordReader::read_dependencies(bool positive) {
  const bool newer = draft() >= Draft::draft2019;
  for (const std::string_view keyword : {"dependencies", "dependentRequired", "dependentSchemas"}) {
    if (keyword == "dependencies" ? newer && !document.lenient() : !newer) continue;
    const Json* all = find(keyword);
    if (!all) continue;
    if (!all->is_object()) {
      invalid(keyword, "an object");
      continue;
    }
    for (const auto& [name, value] : all->as_object()) {
      if (value.is_array() && keyword != "dependentSchemas")
        dependent_names(keyword, name, value, positive);
      else if (keyword == "dependentRequired")
        invalid(keyword, "lists of names");
      else
        dependent_schema(name, sub(keyword, std::string(keyword) + "/" + escape_pointer(name), value), positive);
    }
  }
}

void KeywordReader::read_items(bool positive) {
  ItemRule rule;
  const Json* items = find("items");
  const bool tuple = items && items->is_array();
  if (tuple && draft() == Draft::draft2020 && !document.lenient()) {
    invalid("items", "a schema");
    return;
  }
  if (tuple) {
    for (size_t i = 0; i < items->size(); ++i)
      rule.prefix.push_back(sub("items", fmt::format("items/{}", i), items->as_array()[i]));
    if (const Json* rest = find("additionalItems")) rule.rest = sub("additionalItems", *rest);
  } else {
    if (draft() == Draft::draft2020 && find("prefixItems")) rule.prefix = list("prefixItems");
    if (items) rule.rest = sub("items", *items);
  }
  const size_t n = rule.prefix.size();
  if (positive) {
    if (rule.rest != 0 || std::any_of(rule.prefix.begin(), rule.prefix.end(), [](SchemaLit l) { return l != 0; }))
      add(arrays({.rules = {item_rule(std::move(rule))}}), true);
  } else {
    for (size_t i = 0; i < n; ++i)
      if (rule.prefix[i] != 0) {
        ItemRule wrong{.prefix = std::vector<SchemaLit>(i), .rest = 0};
        wrong.prefix.push_back(inverse(rule.prefix[i]));
        add(only_arrays({.rules = {item_rule(std::move(wrong))}, .min = static_cast<int64_t>(i) + 1}), false);
      }
    if (rule.rest == algebra.never())
      add(only_arrays({.min = static_cast<int64_t>(n) + 1}), false);
    else if (rule.rest != 0)
      add(only_arrays({.contains = {{.lit = -rule.rest, .from = static_cast<int64_t>(n), .min = 1}}}), false);
  }
  read_counts("minItems", "maxItems", &KeywordReader::arrays, &KeywordReader::only_arrays, positive);
  if (const Json* unique = find("uniqueItems")) {
    if (!unique->is_bool())
      invalid("uniqueItems", "true or false");
    else if (unique->as_bool() && !positive)
      refuse("uniqueItems", "its negation, that some items are equal, cannot be enforced");
    else if (unique->as_bool())
      add(arrays({.unique = id}), true);
  }
}

void KeywordReader::read_contains(bool positive) {
  const Json* contains = find("contains");
  if (!contains || draft() == Draft::draft4) return;
  const SchemaLit lit = sub("contains", *contains);
  const bool counted = draft() >= Draft::draft2019;
  const int64_t min = counted ? count("minContains").value_or(1) : 1;
  const int64_t max = counted ? count("maxContains").value_or(-1) : -1;
  const auto between = [&](int64_t low, int64_t high) {
    ArraySet set;
    if (lit == 0)
      set.min = low, set.max = high;
    else
      set.contains = {{.lit = lit, .from = 0, .min = low, .max = high}};
    return set;
  };
  if (positive) {
    if (min > 0 || max >= 0) add(arrays(between(min, max)), true);
    return;
  }
  if (min > 0) add(only_arrays(between(0, min - 1)), false);
  if (max >= 0) add(only_arrays(between(max + 1, -1)), false);
}

}  // namespace quern
