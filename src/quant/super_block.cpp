#include "quant/super_block.h"

namespace quern::quant {
namespace {

constexpr int kTurns = 4;
constexpr int kFirstGuesses = 4;  // d so that the largest scale becomes the limit, or up to three less: the others may fall better

Group group_at(const GroupLimits& limits, const float* x, const float* w, int g) {
  const auto size = static_cast<size_t>(limits.group);
  return {{x + g * limits.group, size}, {w + g * limits.group, size}};
}

// value / unit as an integer in lo..hi.
int rounded(double value, double unit, int lo, int hi) {
  return static_cast<int>(round_within(unit != 0 ? narrowed(value / unit) : 0, static_cast<float>(lo), static_cast<float>(hi)));
}

// Integer scales for this d, with their error.
template <class Levels>
struct ScaledTry {
  const Levels& levels;
  const GroupLimits& limits;
  const float *x, *w;
  const std::array<double, 16>& wanted;

  double choose(SuperBlock& block, int reach) const {
    const float d = f16_to_f32(block.d);
    double total = 0;
    for (int g = 0; g < kSuperBlock / limits.group; ++g) {
      const Group group = group_at(limits, x, w, g);
      const int middle = rounded(wanted[static_cast<size_t>(g)], static_cast<double>(d), limits.scale_lo, limits.scale_hi);
      int best = middle;
      double least = group_error(levels, group, d * static_cast<float>(middle));
      for (int s = std::max(middle - reach, limits.scale_lo); s <= std::min(middle + reach, limits.scale_hi); ++s) {
        if (s == middle) continue;
        const double error = group_error(levels, group, d * static_cast<float>(s));
        if (error < least) least = error, best = s;
      }
      block.scales[static_cast<size_t>(g)] = static_cast<int16_t>(best);
      total += least;
    }
    return total;
  }
  void codes(SuperBlock& block) const {
    const float d = f16_to_f32(block.d);
    for (int g = 0; g < kSuperBlock / limits.group; ++g)
      assign_codes(levels, group_at(limits, x, w, g).x, d * static_cast<float>(block.scales[static_cast<size_t>(g)]), 0,
                   block.codes.data() + g * limits.group);
  }
  double error(const SuperBlock& block) const {
    double total = 0;
    for (int g = 0; g < kSuperBlock / limits.group; ++g)
      total += group_error(levels, group_at(limits, x, w, g),
                           f16_to_f32(block.d) * static_cast<float>(block.scales[static_cast<size_t>(g)]));
    return total;
  }
  // The d that is best for these integer scales and codes.
  bool refit(SuperBlock& block) const {
    double xy = 0, yy = 0;
    for (size_t i = 0; i < kSuperBlock; ++i) {
      const double y = static_cast<double>(levels.value(block.codes[i])) * block.scales[i / static_cast<size_t>(limits.group)];
      xy += static_cast<double>(w[i]) * static_cast<double>(x[i]) * y, yy += static_cast<double>(w[i]) * y * y;
    }
    block.d = f16_scale(yy > 0 ? xy / yy : 0);
    return true;
  }
};

// Integer scales and mins for this d and dmin, with their error.
struct MinsTry {
  const IntegerLevels& levels;
  const GroupLimits& limits;
  const float *x, *w;
  const std::array<double, 16>&scales, &mins;

  double choose(SuperBlock& block, int reach) const {
    const float d = f16_to_f32(block.d), dmin = f16_to_f32(block.dmin);
    double total = 0;
    for (int g = 0; g < kSuperBlock / limits.group; ++g) {
      const Group group = group_at(limits, x, w, g);
      const auto at = static_cast<size_t>(g);
      const int scale = rounded(scales[at], static_cast<double>(d), 0, limits.scale_hi),
                min = rounded(mins[at], static_cast<double>(dmin), 0, limits.scale_hi);
      const auto error_of = [&](int s, int m) {
        return group_error(levels, group, d * static_cast<float>(s), -(dmin * static_cast<float>(m)));
      };
      int best_scale = scale, best_min = min;
      double least = error_of(scale, min);
      for (int s = std::max(scale - reach, 0); s <= std::min(scale + reach, limits.scale_hi); ++s)
        for (int m = std::max(min - reach, 0); m <= std::min(min + reach, limits.scale_hi); ++m) {
          const double error = error_of(s, m);
          if (error < least) least = error, best_scale = s, best_min = m;
        }
      block.scales[at] = static_cast<int16_t>(best_scale), block.mins[at] = static_cast<int16_t>(best_min);
      total += least;
    }
    return total;
  }
  void codes(SuperBlock& block) const {
    const float d = f16_to_f32(block.d), dmin = f16_to_f32(block.dmin);
    for (int g = 0; g < kSuperBlock / limits.group; ++g) {
      const auto at = static_cast<size_t>(g);
      assign_codes(levels, group_at(limits, x, w, g).x, d * static_cast<float>(block.scales[at]),
                   -(dmin * static_cast<float>(block.mins[at])), block.codes.data() + g * limits.group);
    }
  }
  double error(const SuperBlock& block) const {
    double total = 0;
    for (int g = 0; g < kSuperBlock / limits.group; ++g) {
      const auto at = static_cast<size_t>(g);
      total += group_error(levels, group_at(limits, x, w, g), f16_to_f32(block.d) * static_cast<float>(block.scales[at]),
                           -(f16_to_f32(block.dmin) * static_cast<float>(block.mins[at])));
    }
    return total;
  }
  // The d and dmin that are best for these integers: least squares of x = d * (scale * code) + dmin * (-min).
  bool refit(SuperBlock& block) const {
    double aa = 0, ab = 0, bb = 0, ax = 0, bx = 0;
    for (size_t i = 0; i < kSuperBlock; ++i) {
      const size_t g = i / static_cast<size_t>(limits.group);
      const double a = static_cast<double>(block.scales[g]) * block.codes[i], b = -static_cast<double>(block.mins[g]);
      const auto weight = static_cast<double>(w[i]), value = static_cast<double>(x[i]);
      aa += weight * a * a, ab += weight * a * b, bb += weight * b * b, ax += weight * a * value, bx += weight * b * value;
    }
    const double determinant = aa * bb - ab * ab;
    if (!(determinant > 1e-9 * aa * bb)) return false;
    const double d = (ax * bb - bx * ab) / determinant, dmin = (bx * aa - ax * ab) / determinant;
    if (!(d > 0) || !(dmin >= 0)) return false;
    block.d = f16_scale(d), block.dmin = f16_saturated(dmin);
    return true;
  }
};

// Integer scales and d in turns, while the error shrinks; the error in the end.
template <class Try>
double refine(const Try& attempt, SuperBlock& best, double least) {
  for (int turn = 0; turn < kTurns && least > 0; ++turn) {
    SuperBlock next = best;
    if (!attempt.refit(next) || (next.d == best.d && next.dmin == best.dmin)) break;
    const double error = attempt.choose(next, 1);
    if (!(error < least)) break;
    attempt.codes(next);
    best = next, least = error;
  }
  return least;
}

}  // namespace

template <class Levels>
SuperBlock encode_scaled(const Levels& levels, const GroupLimits& limits, const float* x, const float* w, ScaleSearch search) {
  const bool full = search == ScaleSearch::full;
  std::array<double, 16> wanted{};
  double largest = 0;
  ScaleWalk walk;
  for (int g = 0; g < kSuperBlock / limits.group; ++g) {
    const Group group = group_at(limits, x, w, g);
    const double scale = full ? walk.fit_scale(levels, group.x, group.w).scale : reference_scale(levels, group.x);
    wanted[static_cast<size_t>(g)] = scale;
    if (std::abs(scale) > std::abs(largest)) largest = scale;
  }
  const ScaledTry<Levels> attempt{levels, limits, x, w, wanted};
  SuperBlock best;
  double least = 0;
  for (int guess = 0; guess < (full ? kFirstGuesses : 1); ++guess) {
    SuperBlock next;
    next.d = f16_scale(largest / (limits.scale_lo + guess));
    const double error = attempt.choose(next, 0);
    if (guess == 0 || error < least) best = next, least = error;
  }
  if (full) least = attempt.choose(best, 1);
  attempt.codes(best);
  if (full) least = refine(attempt, best, least);
  if (full) {
    const SuperBlock reference = encode_scaled(levels, limits, x, w, ScaleSearch::none);
    if (attempt.error(reference) < least) return reference;
  }
  return best;
}

template SuperBlock encode_scaled(const IntegerLevels&, const GroupLimits&, const float*, const float*, ScaleSearch);
template SuperBlock encode_scaled(const TableLevels&, const GroupLimits&, const float*, const float*, ScaleSearch);

SuperBlock encode_with_mins(const IntegerLevels& levels, const GroupLimits& limits, const float* x, const float* w,
                            ScaleSearch search) {
  const bool full = search == ScaleSearch::full;
  std::array<double, 16> scales{}, mins{};
  double largest_scale = 0, largest_min = 0;
  ScaleWalk walk;
  for (int g = 0; g < kSuperBlock / limits.group; ++g) {
    const Group group = group_at(limits, x, w, g);
    const auto at = static_cast<size_t>(g);
    if (full) {
      const ScaleWalk::Affine fit = walk.fit_affine(levels.hi, group.x, group.w, true);
      scales[at] = fit.scale, mins[at] = -fit.offset;
    } else {
      const auto [low, high] = std::minmax_element(group.x.begin(), group.x.end());
      mins[at] = -std::min(static_cast<double>(*low), 0.0);
      scales[at] = std::max(static_cast<double>(*high) + mins[at], 0.0) / static_cast<double>(levels.hi);
    }
    largest_scale = std::max(largest_scale, scales[at]), largest_min = std::max(largest_min, mins[at]);
  }
  const MinsTry attempt{levels, limits, x, w, scales, mins};
  SuperBlock best;
  double least = 0;
  for (int guess = 0; guess < (full ? kFirstGuesses * kFirstGuesses : 1); ++guess) {
    SuperBlock next;
    next.d = f16_scale(largest_scale / (limits.scale_hi - guess % kFirstGuesses));
    next.dmin = f16_scale(largest_min / (limits.scale_hi - guess / kFirstGuesses));
    const double error = attempt.choose(next, 0);
    if (guess == 0 || error < least) best = next, least = error;
  }
  if (full) least = attempt.choose(best, 1);
  attempt.codes(best);
  if (full) least = refine(attempt, best, least);
  if (full) {
    const SuperBlock reference = encode_with_mins(levels, limits, x, w, ScaleSearch::none);
    if (attempt.error(reference) < least) return reference;
  }
  return best;
}

}  // namespace quern::quant
