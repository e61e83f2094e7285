// Languages of the texts of JSON numbers, as dumps write them: `-?(0|[1-9][0-9]*)(\.[0-9]+)?`, here called plain. What a schema says of
// a number (minimum, multipleOf, const …) becomes the plain texts whose exact decimal value satisfies it; no binary floating point is
// involved, and -0 is 0.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "constrain/expr.h"

namespace quern {

// The exact value of a JSON number.
class Decimal {
 public:
  // Errc::malformed: not a JSON number. Errc::out_of_range: more than kMaxDigits digits without an exponent (1e400).
  static constexpr size_t kMaxDigits = 400;
  static Result<Decimal> parse(std::string_view number);

  bool negative() const { return negative_; }  // never for zero
  bool is_zero() const { return integer_ == "0" && fraction_.empty(); }
  const std::string& integer() const { return integer_; }    // of the magnitude; no leading zeros, "0" below one
  const std::string& fraction() const { return fraction_; }  // no trailing zeros
  std::string text() const;                                  // the shortest plain text

 private:
  bool negative_ = false;
  std::string integer_ = "0", fraction_;
};

ExprId number_plain(Exprs& exprs);
ExprId number_shortest(Exprs& exprs);  // plain, without trailing zeros in the fraction and without -0: one text for each value

// To intersect the others with: their texts that a double can hold. Without it integers go on for ever, which costs less to reason about.
ExprId number_finite(Exprs& exprs);

// Integers; with zero_fraction also 1.0, which is one to JSON Schema from draft 6.
ExprId integer_valued(Exprs& exprs, bool zero_fraction);

ExprId at_least(Exprs& exprs, const Decimal& bound);
ExprId greater_than(Exprs& exprs, const Decimal& bound);
ExprId at_most(Exprs& exprs, const Decimal& bound);
ExprId less_than(Exprs& exprs, const Decimal& bound);
ExprId equal_to(Exprs& exprs, const Decimal& value);  // 1, 1.0, 1.00 …

// Errc::invalid_argument: the divisor is not above 0. Errc::out_of_range: its digits, as an integer, are above kMaxDivisor.
inline constexpr int64_t kMaxDivisor = 1'000'000'000;
Result<ExprId> multiple_of(Exprs& exprs, const Decimal& divisor);

}  // namespace quern
