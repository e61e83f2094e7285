// Tiles in portable C++: what amx.h does with instructions, bit for bit, so that everything around tiles is tested on any machine.
//
// There are eight tiles of 16 rows of 64 bytes. A product adds to 16 x 16 f32 sums: C[m][n] += sum over k < 32 of A[m][k] B[k][n],
// where A holds a row of 32 bf16 in each of its rows, and B, in row k of its 16, the pairs (B[2k][n], B[2k+1][n]) for n = 0 .. 15.
//
// Lanes are the sixteen columns of such sums, worked on row by row.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/cpu_features.h"
#include "tensor/dtype.h"

namespace quern {

class EmulatedTiles {
 public:
  static constexpr Isa kIsa = Isa::scalar;  // of the loops beside the tiles

  template <int tile>
  void zero() {
    std::memset(tiles_[tile], 0, sizeof tiles_[tile]);
  }
  // 16 rows, `stride` bytes apart.
  template <int tile>
  void load(const void* from, int64_t stride) {
    for (int64_t row = 0; row < 16; ++row) std::memcpy(tiles_[tile][row], static_cast<const std::byte*>(from) + row * stride, 64);
  }
  template <int tile>
  void store(void* to, int64_t stride) const {
    for (int64_t row = 0; row < 16; ++row) std::memcpy(static_cast<std::byte*>(to) + row * stride, tiles_[tile][row], 64);
  }
  // Even and odd k are summed apart, then together, then to the sum that was there. Subnormal numbers are zeros, before and after.
  template <int sums, int a, int b>
  void dot_bf16() {
    for (int m = 0; m < 16; ++m) {
      float even[16] = {}, odd[16] = {};
      for (int k = 0; k < 16; ++k)
        for (int n = 0; n < 16; ++n) {
          even[n] = multiplied(bf16(tiles_[a][m], 2 * k), bf16(tiles_[b][k], 2 * n), even[n]);
          odd[n] = multiplied(bf16(tiles_[a][m], 2 * k + 1), bf16(tiles_[b][k], 2 * n + 1), odd[n]);
        }
      for (int n = 0; n < 16; ++n) {
        float sum;
        std::memcpy(&sum, tiles_[sums][m] + 4 * n, 4);
        sum = normal(normal(sum) + normal(even[n] + odd[n]));
        std::memcpy(tiles_[sums][m] + 4 * n, &sum, 4);
      }
    }
  }

  struct Lanes {
    float at[16];
  };
  struct Counts {
    int32_t at[16];
  };
  static Lanes load_lanes(const float* from) {
    Lanes x;
    std::memcpy(x.at, from, sizeof x.at);
    return x;
  }
  static void store_lanes(float* to, Lanes x) { std::memcpy(to, x.at, sizeof x.at); }
  static Counts load_counts(const int32_t* from) {
    Counts x;
    std::memcpy(x.at, from, sizeof x.at);
    return x;
  }
  static Lanes all(float x) {
    return each([&](int) { return x; });
  }
  static Lanes add(const Lanes& a, const Lanes& b) {
    return each([&](int i) { return a.at[i] + b.at[i]; });
  }
  static Lanes subtract(const Lanes& a, const Lanes& b) {
    return each([&](int i) { return a.at[i] - b.at[i]; });
  }
  static Lanes multiply(const Lanes& a, const Lanes& b) {
    return each([&](int i) { return a.at[i] * b.at[i]; });
  }
  static Lanes multiply_add(const Lanes& a, const Lanes& b, const Lanes& c) {
    return each([&](int i) { return std::fma(a.at[i], b.at[i], c.at[i]); });
  }
  // b where one of them is no number.
  static Lanes higher(const Lanes& a, const Lanes& b) {
    return each([&](int i) { return a.at[i] > b.at[i] ? a.at[i] : b.at[i]; });
  }
  static Lanes nearest(const Lanes& x) {
    return each([&](int i) { return std::nearbyint(x.at[i]); });
  }
  // x * 2^n for whole n; 0 where `power` is below -125.
  static Lanes scaled(const Lanes& x, const Lanes& n, const Lanes& power) {
    return each([&](int i) {
      if (power.at[i] < -125.0f) return 0.0f;
      return std::isnan(n.at[i]) ? n.at[i] : std::ldexp(x.at[i], static_cast<int>(std::clamp(n.at[i], -1000.0f, 1000.0f)));
    });
  }
  // `yes` where position < limits.
  static Lanes before(int32_t position, const Counts& limits, const Lanes& yes, const Lanes& no) {
    return each([&](int i) { return position < limits.at[i] ? yes.at[i] : no.at[i]; });
  }
  // `yes` where a = b.
  static Lanes if_equal(const Lanes& a, const Lanes& b, const Lanes& yes, const Lanes& no) {
    return each([&](int i) { return a.at[i] == b.at[i] ? yes.at[i] : no.at[i]; });
  }

  // A row of B: (even[n], odd[n]) in bf16.
  static void pairs(const Lanes& even, const Lanes& odd, std::byte* to) {
    for (int n = 0; n < 16; ++n) put(to, 2 * n, rounded(even.at[n])), put(to, 2 * n + 1, rounded(odd.at[n]));
  }
  // 32 floats to bf16.
  static void round(const float* from, std::byte* to) {
    for (int i = 0; i < 32; ++i) put(to, i, rounded(from[i]));
  }
  // 32 codes of int8 to bf16, which holds them exactly.
  static void widen(const std::byte* codes, std::byte* to) {
    for (int i = 0; i < 32; ++i) put(to, i, f32_to_bf16(static_cast<float>(static_cast<int8_t>(codes[i]))));
  }
  // to[c][r] = from[r][c], 16 x 16 elements of four bytes; rows are strides of bytes apart.
  static void transpose(const void* from, int64_t from_stride, void* to, int64_t to_stride) {
    for (int64_t r = 0; r < 16; ++r)
      for (int64_t c = 0; c < 16; ++c)
        std::memcpy(static_cast<std::byte*>(to) + c * to_stride + 4 * r,
                    static_cast<const std::byte*>(from) + r * from_stride + 4 * c, 4);
  }
  // to[c][r] = from[r][c], 32 rows of 8 elements of two bytes to 8 rows of 32, 64 bytes apart.
  static void transpose_halves(const std::byte* from, int64_t from_stride, std::byte* to) {
    for (int64_t r = 0; r < 32; ++r)
      for (int64_t c = 0; c < 8; ++c) std::memcpy(to + 64 * c + 2 * r, from + r * from_stride + 2 * c, 2);
  }

 private:
  static float normal(float x) { return std::abs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; }
  static float bf16(const std::byte* row, int i) { return normal(bf16_to_f32(load_u16(row + 2 * i))); }
  static float multiplied(float a, float b, float sum) { return normal(std::fma(a, b, sum)); }
  static uint16_t rounded(float x) { return f32_to_bf16(normal(x)); }
  static void put(std::byte* to, int i, uint16_t bits) { std::memcpy(to + 2 * i, &bits, 2); }
  template <class Element>
  static Lanes each(Element element) {
    Lanes x;
    for (int i = 0; i < 16; ++i) x.at[i] = element(i);
    return x;
  }

  std::byte tiles_[8][16][64] = {};
};

}  // namespace quern
