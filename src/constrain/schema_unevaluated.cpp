// unevaluatedProperties and unevaluatedItems: what a schema evaluates depends on which of its in-place schemas hold, so the schema
// is split into branches in each of which that is known.
#include <algorithm>

#include "constrain/regex.h"
#include "constrain/schema_keywords.h"

namespace quern {
namespace {

constexpr size_t kMaxBranches = 256;  // of one schema
constexpr int kMaxInPlaceDepth = 32;  // of in-place schemas inside one another

}  // namespace

bool KeywordReader::has_unevaluated() const {
  return draft() >= Draft::draft2019 && (find("unevaluatedProperties") || find("unevaluatedItems"));
}

KeywordReader::Evaluated KeywordReader::own_evaluated() {
  Evaluated out;
  if (const Json* named = find("properties"); named && named->is_object())
    for (const auto& member : named->as_object()) out.names.push_back(member.first);
  if (const Json* patterns = find("patternProperties"); patterns && patterns->is_object())
    for (const auto& member : patterns->as_object())
      if (const auto language = parse_regex(exprs, member.first, RegexSemantics::search)) out.patterns.push_back(*language);
  out.all_properties = find("additionalProperties") != nullptr;
  const Json* items = find("items");
  if (items && items->is_array()) {
    out.items = items->size();
    out.all_items = find("additionalItems") != nullptr;
  } else {
    out.all_items = items != nullptr;
    if (const Json* prefix = find("prefixItems"); prefix && draft() == Draft::draft2020) out.items = prefix->size();
  }
  out.some_items = find("contains") && draft() == Draft::draft2020;
  return out;
}

std::vector<KeywordReader::Branch> KeywordReader::cross(const std::vector<Branch>& a, const std::vector<Branch>& b) {
  std::vector<Branch> out;
  for (const Branch& x : a)
    for (const Branch& y : b) {
      Branch both{algebra.intersect(x.set, y.set), x.evaluated};
      Evaluated& e = both.evaluated;
      e.names.insert(e.names.end(), y.evaluated.names.begin(), y.evaluated.names.end());
      e.patterns.insert(e.patterns.end(), y.evaluated.patterns.begin(), y.evaluated.patterns.end());
      e.all_properties |= y.evaluated.all_properties;
      e.items = std::max(e.items, y.evaluated.items);
      e.all_items |= y.evaluated.all_items;
      e.some_items |= y.evaluated.some_items;
      if (out.size() < kMaxBranches)
        out.push_back(std::move(both));
      else
        refuse("unevaluatedProperties", "too many combinations of what may be evaluated");
    }
  return out;
}

std::vector<KeywordReader::Branch> KeywordReader::branches_of(SchemaLit lit, int depth) {
  if (lit == 0) return {{any(), {}}};
  if (lit == algebra.never()) return {};
  if (lit < 0) return {{algebra.set_of(lit), {}}};  // what fails evaluates nothing
  if (depth > kMaxInPlaceDepth || algebra.refusal()) {
    algebra.refuse(document.path(id), "the schema refers to itself in place, or is nested too deeply");
    return {};
  }
  KeywordReader reader(algebra, document, exprs, options, lit);
  return reader.branches(depth + 1);
}

std::vector<KeywordReader::Branch> KeywordReader::branches(int depth) {
  if (!json().is_object()) return {{read(true), {}}};
  const auto append = [](std::vector<Branch>& to, std::vector<Branch> from) {
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
  };
  result = any();
  read_own(true);
  std::vector<Branch> all{{std::move(result), own_evaluated()}};
  result = any();
  for (const std::string_view keyword : {"$ref", "$recursiveRef", "$dynamicRef"})
    if (const Json* value = find(keyword))
      if (const SchemaLit lit = reference(keyword, *value)) all = cross(all, branches_of(lit, depth));
  for (const SchemaLit lit : list("allOf")) all = cross(all, branches_of(lit, depth));
  if (find("anyOf")) {  // every choice of branches that hold, but none
    std::vector<std::pair<std::vector<Branch>, bool>> choices{{{{any(), {}}}, false}};
    for (const SchemaLit lit : list("anyOf")) {
      std::vector<std::pair<std::vector<Branch>, bool>> next;
      for (const auto& [chosen, some] : choices) {
        next.emplace_back(cross(chosen, branches_of(lit, depth)), true);
        next.emplace_back(cross(chosen, branches_of(inverse(lit), depth)), some);
        if (next.size() > kMaxBranches) refuse("anyOf", "too many combinations of what may be evaluated");
      }
      choices = std::move(next);
      if (algebra.refusal()) return {};
    }
    std::vector<Branch> some_hold;
    for (auto& [chosen, some] : choices)
      if (some) append(some_hold, std::move(chosen));
    all = cross(all, some_hold);
  }
  if (find("oneOf")) {
    const std::vector<SchemaLit> lits = list("oneOf");
    std::vector<Branch> one;
    for (size_t i = 0; i < lits.size(); ++i) {
      std::vector<Branch> alone = branches_of(lits[i], depth);
      for (size_t j = 0; j < lits.size(); ++j)
        if (j != i) alone = cross(alone, branches_of(inverse(lits[j]), depth));
      append(one, std::move(alone));
    }
    all = cross(all, one);
  }
  if (const Json* schema = find("not")) all = cross(all, branches_of(inverse(sub("not", *schema)), depth));
  if (const Json* condition = find("if")) {
    const SchemaLit when = sub("if", *condition);
    const Json *then = find("then"), *otherwise = find("else");
    std::vector<Branch> either = branches_of(when, depth);
    if (then) either = cross(either, branches_of(sub("then", *then), depth));
    std::vector<Branch> fails = branches_of(inverse(when), depth);
    if (otherwise) fails = cross(fails, branches_of(sub("else", *otherwise), depth));
    append(either, std::move(fails));
    all = cross(all, either);
  }
  if (const Json* dependents = find("dependentSchemas"); dependents && dependents->is_object())
    for (const auto& [name, schema] : dependents->as_object()) {
      const SchemaLit lit = sub("dependentSchemas", "dependentSchemas/" + escape_pointer(name), schema);
      std::vector<Branch> either = cross({{only_objects({.required = {name}}), {}}}, branches_of(lit, depth));
      either.push_back({objects(forbids(name)), {}});
      all = cross(all, either);
    }
  if (find("dependentRequired")) {
    result = any();
    if (const Json* names = find("dependentRequired"); names->is_object())
      for (const auto& [name, value] : names->as_object())
        if (value.is_array()) dependent_names("dependentRequired", name, value, true);
    all = cross(all, {{std::move(result), {}}});
    result = any();
  }
  // The schema's own unevaluated* see all of the above.
  for (Branch& branch : all) {
    Evaluated& e = branch.evaluated;
    if (const Json* rest = find("unevaluatedProperties")) {
      PropertyRule rule{.named = {}, .patterns = {}, .other = sub("unevaluatedProperties", *rest)};
      for (const std::string& name : e.names) rule.named.emplace(name, 0);
      for (const ExprId pattern : e.patterns) rule.patterns.emplace_back(pattern, 0);
      if (!e.all_properties)
        branch.set = algebra.intersect(branch.set, objects({.rules = {std::make_shared<const PropertyRule>(std::move(rule))}}));
      e.all_properties = true;
    }
    if (const Json* rest = find("unevaluatedItems")) {
      if (e.some_items && !e.all_items) {
        refuse("unevaluatedItems", "beside contains it cannot be enforced exactly");
        return {};
      }
      if (!e.all_items)
        branch.set = algebra.intersect(
            branch.set, arrays({.rules = {std::make_shared<const ItemRule>(ItemRule{.prefix = std::vector<SchemaLit>(e.items),
                                                                                    .rest = sub("unevaluatedItems", *rest)})}}));
      e.all_items = true;
    }
  }
  return all;
}

ValueSet KeywordReader::read_unevaluated(bool positive) {
  if (!positive) {
    refuse("unevaluatedProperties", "its negation cannot be enforced exactly");
    return {};
  }
  ValueSet set;
  for (const Branch& branch : branches(0)) set = algebra.unite(set, branch.set);
  return set;
}

}  // namespace quern
