// Bounds on the texts of numbers written with an exponent in the normal form that dumps use for large and small values: one digit from 1
// to 9, a fraction if any, and an exponent (1e-07, 2.5e+22). Other forms with an exponent have no bounds.
#pragma once

#include "constrain/number_language.h"

namespace quern {

// Numbers with an exponent that readers of doubles take: any number of up to 209 digits before the point with one of two digits,
// and the normal form up to e+307 and e-324.
ExprId number_with_exponent(Exprs& exprs);

enum class Comparison { at_least, greater, at_most, less };

// The texts of the normal form whose value satisfies the comparison. Exponents of more than four digits are not in it.
ExprId exponent_bound(Exprs& exprs, Comparison comparison, const Decimal& bound);

}  // namespace quern
