#include "quant/search.h"

namespace quern::quant {
namespace {

// Weighted sums over a group of x, its codes, and their products.
struct Sums {
  double w = 0, x = 0, xx = 0, c = 0, cc = 0, xc = 0;
  bool nonpositive_offset = false;

  // The least-squares line x = scale * code + offset, its error, and whether there is one with scale > 0.
  bool solve(ScaleWalk::Affine& out) const {
    const double determinant = w * cc - c * c;
    double scale = 0, offset = 0, error = 0;
    const bool line = determinant > 1e-12 * w * cc;  // otherwise all codes are the same, and any line through one point is as good
    if (line) {
      scale = (w * xc - x * c) / determinant, offset = (x - scale * c) / w;
      error = xx - scale * xc - offset * x;
    }
    if (nonpositive_offset && (!line || offset > 0) && cc > 0) {
      offset = 0, scale = xc / cc;
      error = xx - scale * xc;
    }
    if (!(scale > 0)) return false;
    out = {scale, offset, error};
    return true;
  }
};

}  // namespace

// Codes are the nearest to (x - origin) / range * t.
void ScaleWalk::walk_affine(float highest, std::span<const float> x, std::span<const float> w, bool nonpositive_offset,
                            double origin, double range, Affine& best) {
  const IntegerLevels levels{0, highest};
  v_.resize(x.size());
  for (size_t i = 0; i < x.size(); ++i) v_[i] = narrowed((static_cast<double>(x[i]) - origin) / range);
  collect(levels, v_, highest - std::min(2.0f, highest / 4), highest + std::clamp(highest / 16, 0.75f, 1.5f));

  Sums sums{.nonpositive_offset = nonpositive_offset};
  for (size_t i = 0; i < x.size(); ++i) {
    const auto weight = static_cast<double>(w[i]), value = static_cast<double>(x[i]), code = static_cast<double>(index_[i]);
    sums.w += weight, sums.x += weight * value, sums.xx += weight * value * value;
    sums.c += weight * code, sums.cc += weight * code * code, sums.xc += weight * value * code;
  }
  const auto consider = [&] {
    Affine found;
    if (sums.solve(found) && found.error < best.error - 1e-12 * sums.xx) best = found;
  };
  consider();
  for (const Event& event : events_) {
    const auto i = static_cast<size_t>(event.element);
    const auto weight = static_cast<double>(w[i]), before = static_cast<double>(index_[i]);
    index_[i] += v_[i] > 0 ? 1 : -1;
    const auto after = static_cast<double>(index_[i]);
    sums.c += weight * (after - before), sums.cc += weight * (after * after - before * before);
    sums.xc += weight * static_cast<double>(x[i]) * (after - before);
    consider();
  }
}

ScaleWalk::Affine ScaleWalk::fit_affine(float highest, std::span<const float> x, std::span<const float> w,
                                        bool nonpositive_offset) {
  const auto [least, most] = std::minmax_element(x.begin(), x.end());
  double low = static_cast<double>(*least), high = static_cast<double>(*most);
  if (nonpositive_offset) low = std::min(low, 0.0);
  // Without any scale: the weighted mean, or nothing where it would be positive.
  Sums sums;
  for (size_t i = 0; i < x.size(); ++i) {
    const auto weight = static_cast<double>(w[i]), value = static_cast<double>(x[i]);
    sums.w += weight, sums.x += weight * value, sums.xx += weight * value * value;
  }
  Affine best{.scale = 0, .offset = sums.x / sums.w, .error = 0};
  if (nonpositive_offset) best.offset = std::min(best.offset, 0.0);
  best.error = sums.xx - best.offset * (2 * sums.x - best.offset * sums.w);
  high = std::max(high, low);
  if (!(high > low)) return best;

  // The lowest code stands for the lowest x, then for something above it: both ends of the range may be clipped.
  const double range = high - low, step = range / static_cast<double>(highest);
  for (const double shift : {0.0, 0.35, 0.7, -0.35}) {
    const double origin = low + shift * step;
    walk_affine(highest, x, w, nonpositive_offset, nonpositive_offset ? std::min(origin, 0.0) : origin, range, best);
  }
  // From the best line: its own offset as origin, its own scale as the middle of the range.
  for (int pass = 0; pass < 3 && best.scale > 0; ++pass) {
    const Affine before = best;
    walk_affine(highest, x, w, nonpositive_offset, before.offset, before.scale * static_cast<double>(highest), best);
    if (!(best.error < before.error)) break;
  }
  return best;
}

}  // namespace quern::quant
