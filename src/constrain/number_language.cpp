#include "constrain/number_language.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

namespace quern {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

ExprId digit(Exprs& exprs) { return exprs.chars(CharSet({{'0', '9'}})); }

// -?(0|[1-9][0-9]*)
ExprId integer(Exprs& exprs) {
  const ExprId positive = exprs.concat(exprs.chars(CharSet({{'1', '9'}})), exprs.star(digit(exprs)));
  return exprs.concat(exprs.optional(exprs.literal("-")), exprs.any_of(exprs.literal("0"), positive));
}

// ---- comparison

enum Order : int8_t { less = -1, equal = 0, greater = 1 };
Order order_of(char a, char b) { return a < b ? less : a > b ? greater : equal; }
Order reversed(Order o) { return static_cast<Order>(-o); }

// What is known of a text read up to here against a bound. The length of the integer part is not known until it ends, so its digits are
// compared with the bound's as if both were as long, and the lengths decide at the end.
struct Comparison {
  enum class Phase : int8_t { start, minus, zero, integer, point, fraction };
  Phase phase = Phase::start;
  bool negative = false;
  Order order = equal;  // of the magnitudes' digits so far
  int64_t digits = 0;   // compared: of the integer part, past its end at most one; then of the fraction while equal
  friend auto operator<=>(const Comparison&, const Comparison&) = default;
};

class Comparator {
 public:
  explicit Comparator(const Decimal& bound) : bound_(bound) {}

  std::optional<Comparison> step(const Comparison& s, char c) const {
    using Phase = Comparison::Phase;
    switch (s.phase) {
      case Phase::start:
        if (c == '-') return Comparison{.phase = Phase::minus, .negative = true};
        [[fallthrough]];
      case Phase::minus:
        if (!is_digit(c)) return std::nullopt;
        return settled({c == '0' ? Phase::zero : Phase::integer, s.negative, order_of(c, bound_.integer()[0]), 1});
      case Phase::integer:
        if (is_digit(c)) return settled(next_integer_digit(s, c));
        [[fallthrough]];
      case Phase::zero:
        if (c != '.') return std::nullopt;
        return settled({Phase::point, s.negative, integer_order(s), 0});
      case Phase::point:
      case Phase::fraction:
        if (!is_digit(c)) return std::nullopt;
        return settled(
            {Phase::fraction, s.negative, s.order != equal ? s.order : order_of(c, fraction_digit(s.digits)), s.digits + 1});
    }
    return std::nullopt;
  }

  // The order of the text's value and the bound, if the text ends here.
  std::optional<Order> value_order(const Comparison& s) const {
    using Phase = Comparison::Phase;
    if (s.phase == Phase::start || s.phase == Phase::minus || s.phase == Phase::point) return std::nullopt;
    if (const auto decided = decided_by_sign(s)) return decided;
    Order order = s.phase == Phase::fraction ? s.order : integer_order(s);
    const int64_t compared = s.phase == Phase::fraction ? s.digits : 0;
    if (order == equal && compared < fraction_length()) order = less;  // what is left of the bound's fraction is not zero
    return s.negative ? reversed(order) : order;
  }

 private:
  int64_t integer_length() const { return static_cast<int64_t>(bound_.integer().size()); }
  int64_t fraction_length() const { return static_cast<int64_t>(bound_.fraction().size()); }
  char fraction_digit(int64_t at) const { return at < fraction_length() ? bound_.fraction()[static_cast<size_t>(at)] : '0'; }

  Comparison next_integer_digit(Comparison s, char c) const {
    if (s.digits >= integer_length()) return {s.phase, s.negative, greater, integer_length() + 1};
    if (s.order == equal) s.order = order_of(c, bound_.integer()[static_cast<size_t>(s.digits)]);
    ++s.digits;
    return s;
  }
  Order integer_order(const Comparison& s) const {
    return s.digits < integer_length() ? less : s.digits > integer_length() ? greater : s.order;
  }

  // -x against a positive bound and x against a negative one.
  std::optional<Order> decided_by_sign(const Comparison& s) const {
    if (s.negative && !bound_.negative() && !bound_.is_zero()) return less;
    if (!s.negative && bound_.negative()) return greater;
    return std::nullopt;
  }

  // Forgets what no longer matters, so that states stay few.
  Comparison settled(Comparison s) const {
    if (decided_by_sign(s)) s.order = equal, s.digits = 0;
    const bool in_fraction = s.phase == Comparison::Phase::point || s.phase == Comparison::Phase::fraction;
    if (in_fraction && s.order != equal) s.digits = 0;
    if (in_fraction) s.digits = std::min(s.digits, fraction_length());
    return s;
  }

  const Decimal& bound_;
};

// A DFA with all its states, the dead ones cut off.
class StateTable : public Automaton {
 public:
  struct Row {
    bool accepts = false, live = false;
    std::vector<std::pair<char, State>> next;
  };
  explicit StateTable(std::vector<Row> rows) : rows_(std::move(rows)) {
    std::vector<std::vector<size_t>> before(rows_.size());
    std::vector<size_t> found;
    for (size_t i = 0; i < rows_.size(); ++i) {
      for (const auto& [c, target] : rows_[i].next) before[static_cast<size_t>(target)].push_back(i);
      if (rows_[i].accepts) rows_[i].live = true, found.push_back(i);
    }
    while (!found.empty()) {
      const size_t at = found.back();
      found.pop_back();
      for (const size_t i : before[at])
        if (!std::exchange(rows_[i].live, true)) found.push_back(i);
    }
  }
  bool live(State state) const { return rows_[static_cast<size_t>(state)].live; }
  bool accepts(State state) const override { return rows_[static_cast<size_t>(state)].accepts; }
  void edges(State state, std::vector<Edge>& out) const override {
    for (const auto& [c, target] : rows_[static_cast<size_t>(state)].next) {
      if (!live(target)) continue;
      const auto point = static_cast<char32_t>(c);
      if (!out.empty() && out.back().target == target && out.back().range.last + 1 == point)
        out.back().range.last = point;
      else
        out.push_back({{point, point}, target});
    }
  }

 private:
  std::vector<Row> rows_;
};

template <class Wanted>
ExprId compared(Exprs& exprs, const Decimal& bound, const Wanted& wanted) {
  const Comparator comparator(bound);
  std::map<Comparison, Automaton::State> ids{{Comparison{}, 0}};
  std::vector<Comparison> states{Comparison{}};
  std::vector<StateTable::Row> rows;
  for (size_t i = 0; i < states.size(); ++i) {
    const Comparison state = states[i];
    const std::optional<Order> order = comparator.value_order(state);
    StateTable::Row row{.accepts = order && wanted(*order)};
    for (const char c : std::string_view("-.0123456789")) {
      const std::optional<Comparison> target = comparator.step(state, c);
      if (!target) continue;
      const auto [it, is_new] = ids.try_emplace(*target, static_cast<Automaton::State>(states.size()));
      if (is_new) states.push_back(*target);
      row.next.emplace_back(c, it->second);
    }
    rows.push_back(std::move(row));
  }
  auto table = std::make_shared<StateTable>(std::move(rows));
  return table->live(0) ? exprs.automaton(table, 0) : Exprs::kNothing;
}

// ---- multiples

// The divisor is modulus / 10^scale. The state holds what was read, as an integer, modulo `modulus`; what counts in the end is that
// remainder once `scale` digits follow the point. With `left` digits still to come before that, they can make the remainder 0 exactly when
// -remainder·10^left is below 10^left modulo the modulus; in the integer part, where any number of digits may come, always.
class Remainders : public Automaton {
 public:
  Remainders(int64_t modulus, int64_t scale) : modulus_(modulus), scale_(scale) {
    int64_t remainder = 1 % modulus, capped = 1;
    for (int64_t i = 0; i <= scale; ++i) {
      power_remainders_.push_back(remainder);
      capped_powers_.push_back(capped);
      remainder = remainder * 10 % modulus;
      capped = std::min(capped * 10, modulus);
    }
  }

  bool accepts(State state) const override {
    const Reading r = unpack(state);
    if (r.phase == Phase::start || r.phase == Phase::minus || (r.phase == Phase::fraction && r.places == 0 && !r.past_point))
      return false;
    return missing(r) == 0;
  }

  void edges(State state, std::vector<Edge>& out) const override {
    const Reading r = unpack(state);
    if (r.phase == Phase::start) out.push_back({{'-', '-'}, pack({.phase = Phase::minus})});
    if (r.phase == Phase::zero || r.phase == Phase::integer) {
      const Reading point{.phase = Phase::fraction, .remainder = r.remainder};
      if (live(point)) out.push_back({{'.', '.'}, pack(point)});
    }
    if (r.phase == Phase::zero) return;
    for (char32_t c = '0'; c <= '9'; ++c) {
      const int64_t digit = static_cast<int64_t>(c - '0');
      Reading next = r;
      if (r.phase == Phase::start || r.phase == Phase::minus) next.phase = digit == 0 ? Phase::zero : Phase::integer;
      if (r.phase == Phase::fraction) {
        next.past_point = true;
        if (r.places == scale_ && digit != 0) break;
        if (r.places < scale_) ++next.places;
      }
      if (r.phase != Phase::fraction || r.places < scale_) next.remainder = (r.remainder * 10 + digit) % modulus_;
      if (live(next)) out.push_back({{c, c}, pack(next)});
    }
  }

  static constexpr State kStart = 0;

 private:
  enum class Phase : int8_t { start, minus, zero, integer, fraction };
  struct Reading {
    Phase phase = Phase::start;
    bool past_point = false;  // a digit of the fraction was read
    int64_t places = 0;       // digits of the fraction in the remainder, at most scale
    int64_t remainder = 0;
  };
  static constexpr int64_t kPlaces = 512;  // above Decimal::kMaxDigits
  static_assert(kPlaces > static_cast<int64_t>(Decimal::kMaxDigits));
  static constexpr int64_t kPhases = 5;
  static State pack(const Reading& r) {
    return ((r.remainder * kPlaces + r.places) * 2 + (r.past_point ? 1 : 0)) * kPhases + static_cast<int64_t>(r.phase);
  }
  static Reading unpack(State s) {
    const int64_t rest = s / kPhases;
    return {static_cast<Phase>(s % kPhases), rest % 2 == 1, rest / 2 % kPlaces, rest / 2 / kPlaces};
  }

  // What the digits up to the scale must add, were the text to end here with zeros.
  int64_t missing(const Reading& r) const {
    const auto left = static_cast<size_t>(scale_ - r.places);
    const int64_t remainder = r.remainder * power_remainders_[left] % modulus_;
    return remainder == 0 ? 0 : modulus_ - remainder;
  }
  bool live(const Reading& r) const {
    if (r.phase != Phase::fraction) return true;  // 0 is a multiple, and from any integer more digits lead to one
    return missing(r) < capped_powers_[static_cast<size_t>(scale_ - r.places)];
  }

  const int64_t modulus_, scale_;
  std::vector<int64_t> power_remainders_, capped_powers_;  // 10^i modulo the modulus; the smaller of 10^i and the modulus
};

// ---- finite

// 2^1024 - 2^970: what is at least this reads as infinity.
constexpr std::string_view kInfinite =
    "17976931348623158079372897140530341507993413271003782693617377898044496829276475094664901797758720709633028641"
    "66928879109465555478519404026306574886715058206819089020007083836762738548458177115317644757302700698555713669"
    "59622842914819860834936475292719074168444365510704342711559699508093042880177904174497792";

// Numbers whose integer part is below kInfinite; that their form is right is for others to say. The state holds how many digits there are
// and how they compare with the first so many of kInfinite: it is only at the last that this decides.
class Finite : public Automaton {
 public:
  static constexpr State kStart = 0;

  bool accepts(State) const override { return true; }
  void edges(State state, std::vector<Edge>& out) const override {
    if (state == kStart) out.push_back({{'-', '-'}, kMinus});
    if (state != kFraction) out.push_back({{'.', '.'}, kFraction});
    if (state == kFraction) return out.push_back({{'0', '9'}, kFraction});
    const Reading r = unpack(state);
    const auto digits = [&](char first, char last, Order order) {
      const Reading next{.digits = r.digits + 1, .order = order};
      const bool finite = next.digits < kMost || (next.digits == kMost && order == less);
      if (first <= last && finite) out.push_back({{static_cast<char32_t>(first), static_cast<char32_t>(last)}, pack(next)});
    };
    if (r.order != equal || r.digits == kMost) return digits('0', '9', r.order);
    const char same = kInfinite[static_cast<size_t>(r.digits)];
    digits('0', static_cast<char>(same - 1), less);
    digits(same, same, equal);
    digits(static_cast<char>(same + 1), '9', greater);
  }

 private:
  struct Reading {
    int64_t digits = 0;
    Order order = equal;
  };
  static constexpr State kMinus = 1, kFraction = 2, kOrders = 3;
  static constexpr int64_t kMost = static_cast<int64_t>(kInfinite.size());
  static State pack(const Reading& r) { return r.digits * kOrders + (r.order - less); }
  static Reading unpack(State s) {
    if (s < kOrders) return {};
    return {.digits = s / kOrders, .order = static_cast<Order>(s % kOrders + less)};
  }
};

}  // namespace

// ---- decimals

Result<Decimal> Decimal::parse(std::string_view number) {
  const auto malformed = [&] { return fail(Errc::malformed, "'{}' is no JSON number", number.substr(0, 100)); };
  size_t at = 0;
  const auto take = [&](std::string_view any) {
    const bool found = at < number.size() && any.find(number[at]) != std::string_view::npos;
    at += found;
    return found;
  };
  const auto take_digits = [&] {
    const size_t first = at;
    while (at < number.size() && is_digit(number[at])) ++at;
    return std::string(number.substr(first, at - first));
  };

  Decimal value;
  value.negative_ = take("-");
  const std::string integer = take_digits();
  if (integer.empty() || (integer.size() > 1 && integer[0] == '0')) return malformed();
  std::string fraction;
  if (take(".") && (fraction = take_digits()).empty()) return malformed();
  int64_t exponent = 0;
  if (take("eE")) {
    const bool down = number.substr(at).starts_with("-");
    take("+-");
    const std::string digits = take_digits();
    if (digits.empty()) return malformed();
    constexpr int64_t kFar = 1'000'000'000;  // past any text's length
    for (const char c : digits) exponent = std::min(exponent * 10 + (c - '0'), kFar);
    if (down) exponent = -exponent;
  }
  if (at != number.size()) return malformed();

  // The digits between the first and the last that is not zero, and where the point stands among them.
  std::string digits = integer + fraction;
  auto point = static_cast<int64_t>(integer.size()) + exponent;
  const size_t first = digits.find_first_not_of('0');
  if (first == std::string::npos) return Decimal{};
  digits = digits.substr(first, digits.find_last_not_of('0') + 1 - first);
  point -= static_cast<int64_t>(first);
  const auto length = static_cast<int64_t>(digits.size());
  const int64_t expanded = std::max(point, length) - std::min<int64_t>(point, 0);
  if (expanded > static_cast<int64_t>(kMaxDigits))
    return fail(Errc::out_of_range, "{}: more than {} digits when written without an exponent", number.substr(0, 100), kMaxDigits);
  if (point < 0) digits.insert(0, static_cast<size_t>(-point), '0'), point = 0;
  if (point > length) digits.append(static_cast<size_t>(point - length), '0');
  value.integer_ = point == 0 ? "0" : digits.substr(0, static_cast<size_t>(point));
  value.fraction_ = digits.substr(static_cast<size_t>(point));
  return value;
}

std::string Decimal::text() const { return (negative_ ? "-" : "") + integer_ + (fraction_.empty() ? "" : "." + fraction_); }

// ---- languages

ExprId number_plain(Exprs& exprs) {
  return exprs.concat(integer(exprs), exprs.optional(exprs.concat(exprs.literal("."), exprs.plus(digit(exprs)))));
}

ExprId number_shortest(Exprs& exprs) {
  const auto digit = [&](char32_t first, char32_t last) { return exprs.chars(CharSet({{first, last}})); };
  const ExprId digits = exprs.star(digit('0', '9'));
  const ExprId whole = exprs.any_of(exprs.literal("0"), exprs.concat(digit('1', '9'), digits));
  const ExprId fraction = exprs.optional(exprs.concat({exprs.literal("."), digits, digit('1', '9')}));
  return exprs.without(exprs.concat({exprs.optional(exprs.literal("-")), whole, fraction}), exprs.literal("-0"));
}

ExprId number_finite(Exprs& exprs) { return exprs.automaton(std::make_shared<Finite>(), Finite::kStart); }

ExprId integer_valued(Exprs& exprs, bool zero_fraction) {
  if (!zero_fraction) return integer(exprs);
  return exprs.concat(integer(exprs), exprs.optional(exprs.concat(exprs.literal("."), exprs.plus(exprs.literal("0")))));
}

ExprId at_least(Exprs& exprs, const Decimal& bound) {
  return compared(exprs, bound, [](Order o) { return o != less; });
}
ExprId greater_than(Exprs& exprs, const Decimal& bound) {
  return compared(exprs, bound, [](Order o) { return o == greater; });
}
ExprId at_most(Exprs& exprs, const Decimal& bound) {
  return compared(exprs, bound, [](Order o) { return o != greater; });
}
ExprId less_than(Exprs& exprs, const Decimal& bound) {
  return compared(exprs, bound, [](Order o) { return o == less; });
}

ExprId equal_to(Exprs& exprs, const Decimal& value) {
  const ExprId zero = exprs.literal("0");
  const ExprId sign = value.is_zero() ? exprs.optional(exprs.literal("-")) : value.negative() ? exprs.literal("-") : Exprs::kEmpty;
  const ExprId fraction = value.fraction().empty() ? exprs.optional(exprs.concat(exprs.literal("."), exprs.plus(zero)))
                                                   : exprs.concat(exprs.literal("." + value.fraction()), exprs.star(zero));
  return exprs.concat({sign, exprs.literal(value.integer()), fraction});
}

Result<ExprId> multiple_of(Exprs& exprs, const Decimal& divisor) {
  if (divisor.negative() || divisor.is_zero())
    return fail(Errc::invalid_argument, "a multiple of {}: the divisor must be above 0", divisor.text());
  int64_t modulus = 0;
  for (const char c : (divisor.integer() + divisor.fraction())) {
    modulus = modulus * 10 + (c - '0');
    if (modulus > kMaxDivisor)
      return fail(Errc::out_of_range, "a multiple of {}: its digits are above {}", divisor.text(), kMaxDivisor);
  }
  const auto scale = static_cast<int64_t>(divisor.fraction().size());
  return exprs.automaton(std::make_shared<Remainders>(modulus, scale), Remainders::kStart);
}

}  // namespace quern
