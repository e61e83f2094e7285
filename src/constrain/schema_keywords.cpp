// What each keyword admits and, negated, forbids. Those about what is inside an object or array are in schema_members.cpp,
// unevaluatedProperties and unevaluatedItems in schema_unevaluated.cpp.
#include "constrain/schema_keywords.h"

#include <algorithm>

#include "constrain/exponent_language.h"
#include "constrain/formats.h"
#include "constrain/number_language.h"
#include "constrain/regex.h"

namespace quern {
namespace {

constexpr size_t kMaxDivisorDigits = 4;

}  // namespace

std::nullopt_t KeywordReader::refuse(std::string_view keyword, std::string reason) {
  algebra.refuse(document.path(id) + "/" + std::string(keyword), std::move(reason));
  return std::nullopt;
}

std::nullopt_t KeywordReader::invalid(std::string_view keyword, std::string_view expected) {
  return refuse(keyword, fmt::format("not a valid schema: expected {}", expected));
}

SchemaLit KeywordReader::sub(std::string_view keyword, std::string_view step, const Json& schema) {
  if (schema.is_bool()) return schema.as_bool() ? 0 : algebra.never();
  if (!schema.is_object()) {
    invalid(keyword, "a schema (an object, true or false)");
    return 0;
  }
  return schema.size() == 0 ? 0 : document.child(id, schema, step);
}

SchemaLit KeywordReader::sub(std::string_view keyword, const Json& schema) { return sub(keyword, keyword, schema); }

std::vector<SchemaLit> KeywordReader::list(std::string_view keyword) {
  const Json* value = find(keyword);
  std::vector<SchemaLit> out;
  if (!value) return out;
  if (!value->is_array() || value->size() == 0) {
    invalid(keyword, "a list of schemas");
    return out;
  }
  for (size_t i = 0; i < value->size(); ++i) out.push_back(sub(keyword, fmt::format("{}/{}", keyword, i), value->as_array()[i]));
  return out;
}

std::optional<int64_t> KeywordReader::count(std::string_view keyword) {
  const Json* value = find(keyword);
  if (!value) return std::nullopt;
  const auto number = value->is_number() ? value->to_int64() : tl::unexpected(Error{});
  if (!number || *number < 0) return invalid(keyword, "a count");
  return *number;
}

SchemaLit KeywordReader::inverse(SchemaLit lit) const { return lit == 0 ? algebra.never() : lit == algebra.never() ? 0 : -lit; }

ValueSet KeywordReader::values(SchemaLit lit) {
  return lit == 0 ? any() : lit == algebra.never() ? ValueSet{} : algebra.set_of(lit);
}

// ---- sets of one type

ValueSet KeywordReader::strings(ExprId e, bool positive) {
  ValueSet set = positive ? any() : ValueSet{};
  set.strings = positive ? e : exprs.complement(e);
  return set;
}

ValueSet KeywordReader::only_objects(ObjectSet set) {
  ValueSet out;
  out.objects.push_back(std::move(set));
  return out;
}

ValueSet KeywordReader::objects(ObjectSet set) {
  ValueSet out = any();
  out.objects = {std::move(set)};
  return out;
}

ValueSet KeywordReader::only_arrays(ArraySet set) {
  ValueSet out;
  out.arrays.push_back(std::move(set));
  return out;
}

ValueSet KeywordReader::arrays(ArraySet set) {
  ValueSet out = any();
  out.arrays = {std::move(set)};
  return out;
}

ObjectSet KeywordReader::forbids(const std::string& name) {
  return {.rules = {property_rule({.named = {{name, algebra.never()}}, .patterns = {}, .other = 0})}};
}

void KeywordReader::add(ValueSet set, bool positive) {
  result = positive ? algebra.intersect(result, set) : algebra.unite(result, set);
}

// ---- the keywords

ValueSet KeywordReader::read(bool positive) {
  if (json().is_bool()) return json().as_bool() == positive ? any() : ValueSet{};
  if (!json().is_object()) {
    algebra.refuse(document.path(id), "not a valid schema: expected an object, true or false");
    return {};
  }
  result = positive ? any() : ValueSet{};
  if (draft() <= Draft::draft7 && find("$ref")) {
    read_references(positive);
    return std::move(result);
  }
  if (has_unevaluated()) return read_unevaluated(positive);
  read_own(positive);
  read_in_place(positive);
  return std::move(result);
}

void KeywordReader::read_own(bool positive) {
  read_type(positive);
  read_constants(positive);
  read_numbers(positive);
  read_strings(positive);
  read_properties(positive);
  read_property_counts(positive);
  read_items(positive);
  read_contains(positive);
}

void KeywordReader::read_in_place(bool positive) {
  read_references(positive);
  read_dependencies(positive);
  read_logic(positive);
  read_conditional(positive);
}

SchemaLit KeywordReader::reference(std::string_view keyword, const Json& value) {
  if (!value.is_string()) {
    invalid(keyword, "a URI");
    return 0;
  }
  std::string reason;
  const SchemaId target =
      keyword == "$ref" ? document.resolve(id, value.as_string(), reason) : document.resolve_dynamic(id, value.as_string(), reason);
  if (target == 0) refuse(keyword, reason);
  return target;
}

void KeywordReader::read_references(bool positive) {
  for (const std::string_view keyword : {"$ref", "$recursiveRef", "$dynamicRef"}) {
    const Json* value = find(keyword);
    if (!value || (keyword == "$recursiveRef" && draft() != Draft::draft2019) ||
        (keyword == "$dynamicRef" && draft() != Draft::draft2020))
      continue;
    if (const SchemaLit lit = reference(keyword, *value)) add(algebra.set_of(positive ? lit : -lit), positive);
  }
}

ValueSet KeywordReader::type_set(std::string_view keyword, const Json& name) {
  ValueSet set;
  const std::string& text = name.is_string() ? name.as_string() : "";
  if (text == "null") {
    set.null = true;
  } else if (text == "boolean") {
    set.booleans = 3;
  } else if (text == "string") {
    set.strings = Exprs::kAll;
  } else if (text == "number") {
    set.numbers = algebra.plain_numbers();
    set.exponents = algebra.exponent_numbers();
  } else if (text == "integer") {
    set.numbers = integer_valued(exprs, draft() > Draft::draft4);  // 1.0 is an integer since draft 6
  } else if (text == "array") {
    set.arrays = {ArraySet{}};
  } else if (text == "object") {
    set.objects = {ObjectSet{}};
  } else {
    invalid(keyword, "null, boolean, object, array, number, string or integer");
  }
  return set;
}

void KeywordReader::read_type(bool positive) {
  const Json* type = find("type");
  if (!type) return;
  ValueSet set;
  if (type->is_array()) {
    if (type->size() == 0) invalid("type", "at least one type");
    for (const Json& name : type->as_array()) set = algebra.unite(set, type_set("type", name));
  } else {
    set = type_set("type", *type);
  }
  if (!positive) {
    set.null = !set.null;
    set.booleans ^= 3;
    // Integers may have exponents too, but which texts those are nobody works out.
    set.exponents = set.numbers == Exprs::kNothing ? algebra.exponent_numbers() : Exprs::kNothing;
    set.numbers = exprs.without(algebra.plain_numbers(), set.numbers);
    set.strings = exprs.complement(set.strings);
    set.arrays = set.arrays.empty() ? any().arrays : std::vector<ArraySet>{};
    set.objects = set.objects.empty() ? any().objects : std::vector<ObjectSet>{};
  }
  add(std::move(set), positive);
}

// Objects and arrays become the schema that only this value satisfies.
ValueSet KeywordReader::constant(const Json& value) {
  ValueSet set;
  switch (value.kind()) {
    case Json::Kind::null:
      set.null = true;
      break;
    case Json::Kind::boolean:
      set.booleans = value.as_bool() ? 2 : 1;
      break;
    case Json::Kind::string:
      set.strings = exprs.literal(value.as_string());
      break;
    case Json::Kind::number: {
      const auto number = Decimal::parse(value.number_text());
      if (!number) {
        refuse("const", number.error().message);
        break;
      }
      set.numbers = equal_to(exprs, *number);
      set.exponents = exprs.both({algebra.exponent_numbers(), exponent_bound(exprs, Comparison::at_least, *number),
                                  exponent_bound(exprs, Comparison::at_most, *number)});
      break;
    }
    case Json::Kind::array: {
      ItemRule rule{.prefix = {}, .rest = algebra.never()};
      for (const Json& item : value.as_array()) rule.prefix.push_back(algebra.equal_to(item));
      const auto n = static_cast<int64_t>(value.size());
      set.arrays.push_back({.rules = {item_rule(std::move(rule))}, .min = n, .max = n});
      break;
    }
    case Json::Kind::object: {
      PropertyRule rule{.named = {}, .patterns = {}, .other = algebra.never()};
      ObjectSet object;
      for (const auto& [name, member] : value.as_object()) {
        rule.named.emplace(name, algebra.equal_to(member));
        object.required.push_back(name);
      }
      std::sort(object.required.begin(), object.required.end());
      object.rules.push_back(property_rule(std::move(rule)));
      set.objects.push_back(std::move(object));
      break;
    }
  }
  return set;
}

void KeywordReader::read_constants(bool positive) {
  std::vector<const Json*> values;
  const auto read = [&](const auto& consume) {
    if (const Json* value = find("const"); value && draft() > Draft::draft4) consume(std::vector<const Json*>{value});
    if (const Json* list = find("enum")) {
      if (!list->is_array()) {
        invalid("enum", "a list of values");
        return;
      }
      std::vector<const Json*> all;
      for (const Json& value : list->as_array()) all.push_back(&value);
      consume(all);
    }
  };
  read([&](const std::vector<const Json*>& all) {
    std::vector<std::string> texts;
    ValueSet scalars, containers, rest = any();
    for (const Json* value : all) {
      if (value->is_string()) {
        texts.push_back(value->as_string());
      } else if (!value->is_array() && !value->is_object()) {
        scalars = algebra.unite(scalars, constant(*value));
      } else if (positive) {
        containers = algebra.unite(containers, constant(*value));
      } else if (all.size() > 1) {
        rest = algebra.intersect(rest, algebra.set_of(-algebra.equal_to(*value)));
      } else if (value->is_array()) {  // not [a, b]: shorter, longer, not a first or not b second
        const auto n = static_cast<int64_t>(value->size());
        rest.arrays.clear();
        if (n > 0) rest.arrays.push_back({.max = n - 1});
        rest.arrays.push_back({.min = n + 1});
        for (int64_t i = 0; i < n; ++i) {
          ItemRule rule{.prefix = std::vector<SchemaLit>(static_cast<size_t>(i)), .rest = 0};
          rule.prefix.push_back(-algebra.equal_to(value->as_array()[static_cast<size_t>(i)]));
          rest.arrays.push_back({.rules = {item_rule(std::move(rule))}, .min = n, .max = n});
        }
      } else {  // not {"a": 1}: no a, an a that is not 1, or something else beside
        rest.objects.clear();
        std::vector<std::string> names;
        for (const auto& [name, member] : value->as_object()) {
          names.push_back(name);
          rest.objects.push_back(forbids(name));
          rest.objects.push_back(
              {.rules = {property_rule({.named = {{name, -algebra.equal_to(member)}}, .patterns = {}, .other = 0})},
               .required = {name}});
        }
        rest.objects.push_back({.duties = {{.names = exprs.complement(exprs.literals(names)), .lit = 0}}});
      }
    }
    scalars.strings = exprs.literals(texts);
    if (positive) {
      add(algebra.unite(scalars, containers), true);
      return;
    }
    rest.null = rest.null && !scalars.null;
    rest.booleans = static_cast<uint8_t>(rest.booleans & ~scalars.booleans & 3);
    rest.strings = exprs.without(rest.strings, scalars.strings);
    if (scalars.numbers != Exprs::kNothing) {
      rest.numbers = exprs.without(rest.numbers, scalars.numbers);
      rest.exponents = Exprs::kNothing;
    }
    add(std::move(rest), false);
  });
}

void KeywordReader::read_numbers(bool positive) {
  const auto number = [&](std::string_view keyword, const Json* value) -> std::optional<Decimal> {
    if (!value) return std::nullopt;
    if (!value->is_number()) return invalid(keyword, "a number");
    auto parsed = Decimal::parse(value->number_text());
    if (!parsed) return refuse(keyword, parsed.error().message);
    return std::move(*parsed);
  };
  const auto bound = [&](std::string_view keyword, Comparison comparison) {
    const auto limit = number(keyword, find(keyword));
    if (!limit) return;
    const auto opposite = comparison == Comparison::at_least  ? Comparison::less
                          : comparison == Comparison::greater ? Comparison::at_most
                          : comparison == Comparison::at_most ? Comparison::greater
                                                              : Comparison::at_least;
    const Comparison wanted = positive ? comparison : opposite;
    const ExprId plain = wanted == Comparison::at_least  ? at_least(exprs, *limit)
                         : wanted == Comparison::greater ? greater_than(exprs, *limit)
                         : wanted == Comparison::at_most ? at_most(exprs, *limit)
                                                         : less_than(exprs, *limit);
    ValueSet set = positive ? any() : ValueSet{};
    set.numbers = plain;
    set.exponents = exprs.both(algebra.exponent_numbers(), exponent_bound(exprs, wanted, *limit));
    add(std::move(set), positive);
  };
  if (draft() == Draft::draft4) {  // exclusiveMinimum: true says how minimum is meant
    const auto exclusive = [&](std::string_view keyword) {
      const Json* strict = find(keyword);
      if (strict && !strict->is_bool()) invalid(keyword, "true or false");
      return strict && strict->is_bool() && strict->as_bool();
    };
    bound("minimum", exclusive("exclusiveMinimum") ? Comparison::greater : Comparison::at_least);
    bound("maximum", exclusive("exclusiveMaximum") ? Comparison::less : Comparison::at_most);
  } else {
    bound("minimum", Comparison::at_least);
    bound("maximum", Comparison::at_most);
    bound("exclusiveMinimum", Comparison::greater);
    bound("exclusiveMaximum", Comparison::less);
  }
  if (const auto divisor = number("multipleOf", find("multipleOf"))) {
    // Together with bounds an emptiness test may have to go through that many remainders.
    const std::string digits = divisor->integer() + divisor->fraction();
    if (const size_t first = digits.find_first_not_of('0');
        first != std::string::npos && digits.size() - first > kMaxDivisorDigits) {
      refuse("multipleOf", fmt::format("divisors of more than {} digits cannot be enforced", kMaxDivisorDigits));
      return;
    }
    const auto language = multiple_of(exprs, *divisor);
    if (!language) {
      refuse("multipleOf", language.error().message);
      return;
    }
    ValueSet set = positive ? any() : ValueSet{};
    set.numbers = positive ? *language : exprs.without(algebra.plain_numbers(), *language);
    set.exponents = Exprs::kNothing;
    add(std::move(set), positive);
  }
}

void KeywordReader::read_strings(bool positive) {
  if (const auto min = count("minLength")) add(strings(exprs.length(*min, Exprs::kUnbounded), positive), positive);
  if (const auto max = count("maxLength")) add(strings(exprs.length(0, *max), positive), positive);
  if (const Json* pattern = find("pattern")) {
    if (!pattern->is_string()) {
      invalid("pattern", "a regular expression");
    } else if (const auto language = parse_regex(exprs, pattern->as_string(), RegexSemantics::search)) {
      add(strings(*language, positive), positive);
    } else {
      refuse("pattern", language.error().message);
    }
  }
  if (const Json* format = find("format"); format && options.assert_formats) {
    if (!format->is_string()) {
      invalid("format", "a name");
      return;
    }
    const FormatKind kind = format_kind(format->as_string());
    if (kind == FormatKind::refused)
      refuse("format", fmt::format("the format '{}' cannot be enforced exactly", format->as_string()));
    else if (kind == FormatKind::enforced)
      add(strings(format_language(exprs, format->as_string()).value_or(Exprs::kNothing), positive), positive);
  }
}

void KeywordReader::read_logic(bool positive) {
  for (const SchemaLit lit : list("allOf")) add(values(positive ? lit : inverse(lit)), positive);
  if (find("anyOf")) {
    ValueSet all = positive ? ValueSet{} : any();
    for (const SchemaLit lit : list("anyOf"))
      all = positive ? algebra.unite(all, values(lit)) : algebra.intersect(all, values(inverse(lit)));
    add(std::move(all), positive);
  }
  if (find("oneOf")) add(one_of(list("oneOf"), positive), positive);
  if (const Json* schema = find("not")) {
    const SchemaLit lit = sub("not", *schema);
    add(values(positive ? inverse(lit) : lit), positive);
  }
}

// Exactly one: each branch without those that it shares values with. Not exactly one: none, or two of them.
ValueSet KeywordReader::one_of(const std::vector<SchemaLit>& branches_in, bool positive) {
  const size_t n = branches_in.size();
  std::vector<ValueSet> sets;
  for (const SchemaLit lit : branches_in) sets.push_back(values(lit));
  std::vector<std::vector<bool>> overlap(n, std::vector<bool>(n));
  for (size_t i = 0; i < n; ++i)
    for (size_t j = i + 1; j < n; ++j) overlap[i][j] = overlap[j][i] = !algebra.disjoint(sets[i], sets[j]);
  ValueSet out;
  if (!positive) {
    out = any();
    for (const SchemaLit lit : branches_in) out = algebra.intersect(out, values(inverse(lit)));
  }
  for (size_t i = 0; i < n && !algebra.refusal(); ++i) {
    if (positive) {
      ValueSet alone = sets[i];
      for (size_t j = 0; j < n; ++j)
        if (overlap[i][j]) alone = algebra.intersect(alone, values(inverse(branches_in[j])));
      out = algebra.unite(out, alone);
    } else {
      for (size_t j = i + 1; j < n; ++j)
        if (overlap[i][j]) out = algebra.unite(out, algebra.intersect(sets[i], sets[j]));
    }
  }
  return out;
}

void KeywordReader::read_conditional(bool positive) {
  const Json* condition = find("if");
  const Json *consequence = find("then"), *alternative = find("else");
  if (!condition || draft() < Draft::draft7 || (!consequence && !alternative)) return;
  const SchemaLit when = sub("if", *condition);
  SchemaLit then = consequence ? sub("then", *consequence) : 0, otherwise = alternative ? sub("else", *alternative) : 0;
  if (!positive) then = inverse(then), otherwise = inverse(otherwise);
  add(algebra.unite(algebra.intersect(values(when), values(then)), algebra.intersect(values(inverse(when)), values(otherwise))),
      positive);
}

}  // namespace quern
