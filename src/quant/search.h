// Scales that minimise the weighted squared error of a group of weights:   sum_e w_e (x_e - scale * code_e - offset)^2.
//
// For a given scale each code is the nearest one. As the inverse scale t grows, a code moves to its neighbour only where x_e * t passes the
// middle between the two: a short sorted list of events. Between two events the codes are fixed, and the best scale for them (and offset)
// is a least-squares solution of a few sums that an event changes in one element. So one walk over the events visits every assignment of
// codes that nearest rounding can give in a range of t, at the cost of a sort, and finds the best scale in it, not the best of a grid.
//
// The range is that of the reference encoders' candidates and more: from mapping the largest |x| onto somewhat less than the outermost level
// to clipping it. With importance, a large x that matters little may be clipped much further: the walk is repeated with the x that
// matters most, largest w x^2, in its place.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include "quant/rounding.h"

namespace quern::quant {

// Codes lo..hi, each its own value.
struct IntegerLevels {
  float lo, hi;
  int size() const { return static_cast<int>(hi - lo) + 1; }
  float value(int index) const { return lo + static_cast<float>(index); }
  int nearest(float v) const { return static_cast<int>(round_within(v, lo, hi) - lo); }
  float first() const { return lo; }
  float last() const { return hi; }
};

// Codes that stand for the ascending values of a table.
struct TableLevels {
  std::span<const int8_t> values;
  int size() const { return static_cast<int>(values.size()); }
  float value(int index) const { return static_cast<float>(values[static_cast<size_t>(index)]); }
  int nearest(float v) const {
    int index = 0;
    for (size_t i = 0; i + 1 < values.size(); ++i) index += 2 * v > static_cast<float>(values[i] + values[i + 1]);
    return index;
  }
  float first() const { return value(0); }
  float last() const { return value(size() - 1); }
};

// One search's memory, kept between groups. Not to be shared between threads.
class ScaleWalk {
 public:
  struct Scale {
    double scale = 0, error = 0;
  };
  struct Affine {
    double scale = 0, offset = 0, error = 0;
  };

  // The scale of either sign that minimises the error with codes from `levels`; x and w have the same size, not all w are zero.
  template <class Levels>
  Scale fit_scale(const Levels& levels, std::span<const float> x, std::span<const float> w);

  // The scale >= 0 and offset (at most 0 where nonpositive_offset) that minimise the error with codes 0..highest.
  Affine fit_affine(float highest, std::span<const float> x, std::span<const float> w, bool nonpositive_offset);

 private:
  struct Event {
    float at;
    int element;
  };
  template <class Levels>
  void collect(const Levels& levels, std::span<const float> v, float from, float to);
  template <class Levels>
  void walk_scale(const Levels& levels, std::span<const float> x, std::span<const float> w, float anchor, float sign, Scale& best);
  void walk_affine(float highest, std::span<const float> x, std::span<const float> w, bool nonpositive_offset, double origin,
                   double range, Affine& best);

  std::vector<float> v_;    // x relative to what is mapped onto t
  std::vector<int> index_;  // current level of each element
  std::vector<Event> events_;
};

// The x of largest magnitude, with its sign.
inline float largest_magnitude(std::span<const float> x) {
  float largest = 0;
  for (const float value : x)
    if (std::abs(value) > std::abs(largest)) largest = value;
  return largest;
}

// The x that matters most: largest w x^2.
inline float weightiest(std::span<const float> x, std::span<const float> w) {
  float found = 0;
  double most = -1;
  for (size_t i = 0; i < x.size(); ++i) {
    const double weight = static_cast<double>(w[i]) * static_cast<double>(x[i]) * static_cast<double>(x[i]);
    if (weight > most) most = weight, found = x[i];
  }
  return found;
}

// Levels at t = from, and all moves to a neighbour up to t = to, in order.
template <class Levels>
void ScaleWalk::collect(const Levels& levels, std::span<const float> v, float from, float to) {
  events_.clear();
  index_.resize(v.size());
  for (size_t i = 0; i < v.size(); ++i) {
    int index = levels.nearest(v[i] * from);
    index_[i] = index;
    if (v[i] == 0) continue;
    const int step = v[i] > 0 ? 1 : -1;
    for (int next = index + step; next >= 0 && next < levels.size(); index = next, next += step) {
      const float at = (levels.value(index) + levels.value(next)) / 2 / v[i];
      if (!(at <= to)) break;
      events_.push_back({at, static_cast<int>(i)});
    }
  }
  std::sort(events_.begin(), events_.end(), [](const Event& a, const Event& b) { return a.at < b.at; });
}

// anchor: the x that is mapped onto t; sign: of the level that it is mapped towards.
template <class Levels>
void ScaleWalk::walk_scale(const Levels& levels, std::span<const float> x, std::span<const float> w, float anchor, float sign,
                           Scale& best) {
  const int last = levels.size() - 1;
  const float edge = std::abs(sign < 0 ? levels.first() : levels.last());
  const float outermost = sign < 0 ? levels.value(1) - levels.first() : levels.last() - levels.value(last - 1);  // distance
  // Fractions of the range, but at most eight levels of it: with 255 the whole quarter gains 3 % of the error for three times the time.
  const float from = std::max({edge * 0.75f, edge - 8 * outermost, 0.5f}), to = edge + std::clamp(edge / 8, 1.0f, 2 * outermost);
  const double unit = static_cast<double>(sign) / static_cast<double>(anchor);
  v_.resize(x.size());
  for (size_t i = 0; i < x.size(); ++i) v_[i] = narrowed(static_cast<double>(x[i]) * unit);
  collect(levels, v_, from, to);

  double xc = 0, cc = 0, xx = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const auto weight = static_cast<double>(w[i]), value = static_cast<double>(x[i]),
               code = static_cast<double>(levels.value(index_[i]));
    xx += weight * value * value, xc += weight * value * code, cc += weight * code * code;
  }
  const auto consider = [&] {
    // What the scale explains, xc^2 / cc, has to be more by more than rounding, so that equal solutions keep the first.
    const double error = cc > 0 ? xx - xc * xc / cc : xx;
    if (error < best.error - 1e-12 * xx) best = {xc / cc, error};
  };
  consider();
  for (const Event& event : events_) {
    const auto i = static_cast<size_t>(event.element);
    const auto weight = static_cast<double>(w[i]), before = static_cast<double>(levels.value(index_[i]));
    index_[i] += v_[i] > 0 ? 1 : -1;
    const auto after = static_cast<double>(levels.value(index_[i]));
    xc += weight * static_cast<double>(x[i]) * (after - before), cc += weight * (after * after - before * before);
    consider();
  }
}

template <class Levels>
ScaleWalk::Scale ScaleWalk::fit_scale(const Levels& levels, std::span<const float> x, std::span<const float> w) {
  Scale best;
  for (size_t i = 0; i < x.size(); ++i)
    best.error += static_cast<double>(w[i]) * static_cast<double>(x[i]) * static_cast<double>(x[i]);
  const float largest = largest_magnitude(x), matters = weightiest(x, w);
  for (const float anchor : {largest, matters}) {
    if (anchor == 0) break;
    walk_scale(levels, x, w, anchor, -1.0f, best);
    walk_scale(levels, x, w, anchor, 1.0f, best);
    if (matters == largest) break;
  }
  return best;
}

}  // namespace quern::quant
