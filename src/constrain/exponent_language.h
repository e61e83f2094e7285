// Bounds on the texts of numbers written with an exponent in the normal form that dumps use for large and small values: one digit from 1
// to 9, a fraction if any, and an exponent (1e-07, 2.5e+22). Other forms with an exponent are in number_any only.
#pragma once

#include "constrain/number_language.h"

namespace quern {

enum class Comparison { at_least, greater, at_most, less };

// The texts of the normal form whose value satisfies the comparison. Exponents of more than four digits are not in it.
ExprId exponent_bound(Exprs& exprs, Comparison comparison, const Decimal& bound);

}  // namespace quern
