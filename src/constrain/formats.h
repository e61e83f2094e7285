// The languages of JSON Schema's `format` names, after the documents the specification cites. What is enforced is never wider than its
// document says; where it is narrower, the reason stands at the format.
#pragma once

#include <optional>
#include <string_view>

#include "constrain/expr.h"

namespace quern {

enum class FormatKind {
  annotation,  // no name of the specification (int32, password …): says nothing about texts
  enforced,    // format_language has it
  refused,     // known, and no regular language: regex, idn-hostname, idn-email
};
FormatKind format_kind(std::string_view name);

// nullopt unless the kind is `enforced`. After the limits of exprs are reached (exprs.exhausted()) the language means nothing.
std::optional<ExprId> format_language(Exprs& exprs, std::string_view name);

}  // namespace quern
