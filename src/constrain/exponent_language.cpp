#include "constrain/exponent_language.h"

#include <algorithm>

namespace quern {
namespace {

// Reads sign, mantissa, exponent; knows how the mantissa compares with the bound's digits, and the exponent so far.
class ExponentBound : public Automaton {
 public:
  ExponentBound(Comparison comparison, const Decimal& bound) : comparison_(comparison), negative_bound_(bound.negative()) {
    // The bound's magnitude as 0.digits × 10^(exponent + 1), digits without leading and trailing zeros.
    digits_ = bound.integer() + bound.fraction();
    exponent_ = static_cast<int64_t>(bound.integer().size()) - 1;
    const size_t first = std::min(digits_.find_first_not_of('0'), digits_.size());
    exponent_ -= static_cast<int64_t>(first);
    digits_.erase(0, first);
    while (!digits_.empty() && digits_.back() == '0') digits_.pop_back();
  }

  bool accepts(State state) const override {
    const Parts p = unpack(state);
    return p.phase == Phase::exponent_digits && satisfies(p, p.exponent);
  }

  void edges(State state, std::vector<Edge>& out) const override {
    const Parts p = unpack(state);
    const auto go = [&](char32_t first, char32_t last, Parts next) {
      if (live(next)) out.push_back({{first, last}, pack(next)});
    };
    const auto with_phase = [&](Phase phase) {
      Parts next = p;
      next.phase = phase;
      return next;
    };
    switch (p.phase) {
      case Phase::start: {
        Parts negative = with_phase(Phase::sign);
        negative.negative = true;
        go('-', '-', negative);
        for (char32_t d = '1'; d <= '9'; ++d) go(d, d, digit(p, d, Phase::first_digit));
        break;
      }
      case Phase::sign:
        for (char32_t d = '1'; d <= '9'; ++d) go(d, d, digit(p, d, Phase::first_digit));
        break;
      case Phase::first_digit:
      case Phase::fraction:
        if (p.phase == Phase::first_digit)
          go('.', '.', with_phase(Phase::point));
        else
          for (char32_t d = '0'; d <= '9'; ++d) go(d, d, digit(p, d, Phase::fraction));
        go('E', 'E', with_phase(Phase::exponent));
        go('e', 'e', with_phase(Phase::exponent));
        break;
      case Phase::point:
        for (char32_t d = '0'; d <= '9'; ++d) go(d, d, digit(p, d, Phase::fraction));
        break;
      case Phase::exponent: {
        Parts negative = with_phase(Phase::exponent_sign);
        negative.small = true;
        go('+', '+', with_phase(Phase::exponent_sign));
        go('-', '-', negative);
        [[fallthrough]];
      }
      case Phase::exponent_sign:
      case Phase::exponent_digits:
        for (char32_t d = '0'; d <= '9'; ++d) {
          Parts next = with_phase(Phase::exponent_digits);
          next.exponent = p.exponent * 10 + static_cast<int64_t>(d - '0');
          if (next.exponent < 10'000) go(d, d, next);
        }
        break;
    }
  }

  static constexpr State kStart = 0;

 private:
  enum class Phase { start, sign, first_digit, point, fraction, exponent, exponent_sign, exponent_digits };
  struct Parts {
    Phase phase = Phase::start;
    bool negative = false;
    int order = 0;         // the mantissa's digits so far against the bound's: -1, 0, 1
    int64_t position = 0;  // digits read while they were equal
    bool small = false;    // the exponent is negative
    int64_t exponent = 0;  // its magnitude so far
  };

  // state = exponent | position << 20 | the small ones << 40
  static State pack(const Parts& p) {
    return p.exponent | (p.position << 20) |
           (static_cast<State>(p.phase) | static_cast<State>(p.negative) << 4 | static_cast<State>(p.small) << 5 |
            static_cast<State>(p.order + 1) << 6)
               << 40;
  }
  static Parts unpack(State s) {
    if (s == kStart) return {};
    const State flags = s >> 40;
    return {.phase = static_cast<Phase>(flags & 15),
            .negative = (flags >> 4 & 1) != 0,
            .order = static_cast<int>(flags >> 6 & 3) - 1,
            .position = s >> 20 & 0xFFFFF,
            .small = (flags >> 5 & 1) != 0,
            .exponent = s & 0xFFFFF};
  }

  Parts digit(const Parts& p, char32_t d, Phase phase) const {
    Parts next = p;
    next.phase = phase;
    if (p.order != 0) return next;
    const auto at = static_cast<size_t>(p.position);
    const char32_t want = at < digits_.size() ? static_cast<char32_t>(digits_[at]) : U'0';
    next.order = d < want ? -1 : d > want ? 1 : 0;
    next.position = std::min<int64_t>(p.position + 1, static_cast<int64_t>(digits_.size()));
    if (next.order != 0) next.position = 0;
    return next;
  }

  bool satisfies(const Parts& p, int64_t exponent) const {
    int order = 1;  // of the magnitudes; everything is larger than zero
    if (!digits_.empty()) {
      const int64_t e = p.small ? -exponent : exponent;
      order = e != exponent_                                      ? (e < exponent_ ? -1 : 1)
              : p.order != 0                                      ? p.order
              : p.position < static_cast<int64_t>(digits_.size()) ? -1  // the bound has more digits
                                                                  : 0;
    }
    if (digits_.empty())
      order = p.negative ? -1 : 1;
    else if (p.negative != negative_bound_)
      order = p.negative ? -1 : 1;
    else if (p.negative)
      order = -order;
    switch (comparison_) {
      case Comparison::at_least:
        return order >= 0;
      case Comparison::greater:
        return order > 0;
      case Comparison::at_most:
        return order <= 0;
      case Comparison::less:
        return order < 0;
    }
    return false;
  }

  // The value moves one way as the exponent grows, so if neither the end nor the largest exponent will do, nothing will.
  bool live(const Parts& p) const {
    if (p.phase == Phase::exponent_digits) return satisfies(p, p.exponent) || (p.exponent < 1000 && satisfies(p, 9999));
    if (p.phase == Phase::exponent_sign) return satisfies(p, 0) || satisfies(p, 9999);
    Parts large = p, small = p;
    large.small = false, small.small = true;
    if (p.phase != Phase::start) return satisfies(large, 9999) || satisfies(small, 9999);
    return true;
  }

  Comparison comparison_;
  bool negative_bound_;
  std::string digits_;
  int64_t exponent_ = 0;
};

}  // namespace

ExprId number_with_exponent(Exprs& exprs) {
  const auto digit = [&](char32_t first, char32_t last) { return exprs.chars(CharSet({{first, last}})); };
  const ExprId digits = digit('0', '9'), e = exprs.chars(CharSet({{'e', 'e'}, {'E', 'E'}}));
  const ExprId sign = exprs.optional(exprs.chars(CharSet({{'+', '+'}, {'-', '-'}})));
  const ExprId fraction = exprs.optional(exprs.concat(exprs.literal("."), exprs.plus(digits)));
  const ExprId mantissa = exprs.concat({exprs.optional(exprs.literal("-")), digit('1', '9'), fraction});
  const ExprId large =
      exprs.any_of({exprs.concat({digit('0', '2'), digits, digits}), exprs.concat({exprs.literal("30"), digit('0', '7')})});
  const ExprId small = exprs.concat({exprs.literal("-"), exprs.literal("3"), digit('0', '2'), digit('0', '4')});
  const ExprId whole = exprs.any_of(exprs.literal("0"), exprs.concat(digit('1', '9'), exprs.repeat(digits, 0, 208)));
  return exprs.any_of({exprs.concat({exprs.optional(exprs.literal("-")), whole, fraction, e, sign, exprs.repeat(digits, 1, 2)}),
                       exprs.concat({mantissa, e, exprs.any_of(exprs.concat(sign, large), small)})});
}

ExprId exponent_bound(Exprs& exprs, Comparison comparison, const Decimal& bound) {
  // The start is live unless nothing satisfies the bound, which only a sign could exclude: zero has no text here but both signs do.
  return exprs.automaton(std::make_shared<ExponentBound>(comparison, bound), ExponentBound::kStart);
}

}  // namespace quern
