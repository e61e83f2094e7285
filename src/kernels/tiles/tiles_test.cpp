#include <limits>

#include "kernels/kernel_test.h"
#include "kernels/tiles/emulated.h"

namespace quern {
namespace {

using namespace kernel_test;

// 512 bf16 of all sizes, zeros and subnormal numbers among them.
std::vector<uint16_t> some_bf16(Random& random) {
  std::vector<uint16_t> values;
  for (int i = 0; i < 512; ++i) {
    const auto exponent = random.between(0, 9) == 0 ? random.between(0, 2) : random.between(90, 160);
    values.push_back(static_cast<uint16_t>(random.between(0, 1) << 15 | exponent << 7 | random.between(0, 127)));
  }
  return values;
}

TEST(EmulatedTiles, MultiplyRowsByPairs) {
  Random random(5);
  const std::vector<float> a = random_floats(random, 16 * 32), b = random_floats(random, 32 * 16);
  std::vector<std::byte> rows(1024), pairs(1024);
  for (int64_t r = 0; r < 16; ++r) {
    EmulatedTiles::round(a.data() + 32 * r, rows.data() + 64 * r);
    EmulatedTiles::pairs(EmulatedTiles::load_lanes(b.data() + 32 * r), EmulatedTiles::load_lanes(b.data() + 32 * r + 16),
                         pairs.data() + 64 * r);
  }
  EmulatedTiles tiles;
  std::vector<float> sums(256, 1.0f);
  tiles.load<3>(sums.data(), 64), tiles.load<5>(rows.data(), 64), tiles.load<7>(pairs.data(), 64);
  tiles.dot_bf16<3, 5, 7>();
  tiles.store<3>(sums.data(), 64);
  const auto in_bf16 = [](float x) { return static_cast<double>(bf16_to_f32(f32_to_bf16(x))); };
  for (size_t m = 0; m < 16; ++m)
    for (size_t n = 0; n < 16; ++n) {
      double want = 1;
      for (size_t k = 0; k < 32; ++k) want += in_bf16(a[m * 32 + k]) * in_bf16(b[k * 16 + n]);
      EXPECT_NEAR(static_cast<double>(sums[m * 16 + n]), want, 18 * 33 * kUnit) << m << " " << n;
    }
}

TEST(EmulatedTiles, TakeSubnormalNumbersForZeros) {
  EmulatedTiles tiles;
  std::vector<uint16_t> tiny(512, 0x0001), huge(512, 0x7F00), small(512, 0x0080);
  std::vector<float> sums(256, 0x1p-140f);
  tiles.load<0>(sums.data(), 64), tiles.load<1>(tiny.data(), 64), tiles.load<2>(huge.data(), 64), tiles.load<3>(small.data(), 64);
  tiles.dot_bf16<0, 1, 2>();
  tiles.store<0>(sums.data(), 64);
  EXPECT_EQ(sums, std::vector<float>(256, 0.0f));
  tiles.dot_bf16<0, 3, 2>();
  tiles.store<0>(sums.data(), 64);
  EXPECT_GT(sums[0], 1.0f);
  tiles.dot_bf16<4, 3, 3>();  // products below the smallest normal number
  tiles.store<4>(sums.data(), 64);
  EXPECT_EQ(sums, std::vector<float>(256, 0.0f));
}

}  // namespace
}  // namespace quern

#if defined(__x86_64__)
#include "kernels/avx512.h"
#include "kernels/target.h"

QUERN_TARGET_BEGIN("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,amx-tile,amx-bf16,amx-int8")

#include "kernels/tiles/amx.h"

namespace quern {
namespace {

std::vector<float> lanes(AmxTiles::Lanes x) {
  std::vector<float> values(16);
  AmxTiles::store_lanes(values.data(), x);
  return values;
}
std::vector<float> lanes(const EmulatedTiles::Lanes& x) { return {x.at, x.at + 16}; }

// f(T's functions, lanes of a, of b, of c)
template <class F>
void same_lanes(F f, const std::vector<float>& a, const std::vector<float>& b, const std::vector<float>& c) {
  using A = AmxTiles;
  using E = EmulatedTiles;
  EXPECT_TRUE(kernel_test::same_bits(
      lanes(f.template operator()<A>(A::load_lanes(a.data()), A::load_lanes(b.data()), A::load_lanes(c.data()))),
      lanes(f.template operator()<E>(E::load_lanes(a.data()), E::load_lanes(b.data()), E::load_lanes(c.data())))));
}

TEST(AmxTiles, LanesDoWhatTheEmulatedOnesDo) {
  if (!cpu_multiplies_bf16()) GTEST_SKIP() << "no AVX-512 with bf16 here";
  Random random(6);
  for (int round = 0; round < 50; ++round) {
    std::vector<float> a = random_floats(random, 16, -200, 2), b = random_floats(random, 16), c = random_floats(random, 16);
    a[static_cast<size_t>(random.between(0, 15))] = -std::numeric_limits<float>::infinity();
    a[static_cast<size_t>(random.between(0, 15))] = b[0];
    same_lanes([]<class T>(auto x, auto y, auto z) { return T::multiply_add(x, y, z); }, a, b, c);
    same_lanes([]<class T>(auto x, auto y, auto z) { return T::add(T::multiply(x, y), T::subtract(y, z)); }, b, a, c);
    same_lanes([]<class T>(auto x, auto y, auto) { return T::higher(x, y); }, a, b, c);
    same_lanes([]<class T>(auto x, auto y, auto) { return T::scaled(y, T::nearest(x), x); }, a, b, c);
    same_lanes(
        []<class T>(auto x, auto y, auto z) { return T::if_equal(x, T::all(-std::numeric_limits<float>::infinity()), y, z); }, a, b,
        c);
    std::vector<int32_t> limits;
    for (int i = 0; i < 16; ++i) limits.push_back(static_cast<int32_t>(random.between(0, 64)));
    same_lanes([&]<class T>(auto x, auto y, auto) { return T::before(31, T::load_counts(limits.data()), x, y); }, a, b, c);
  }
}

TEST(AmxTiles, PacksWhatTheEmulatedOnesPack) {
  if (!cpu_multiplies_bf16()) GTEST_SKIP() << "no AVX-512 with bf16 here";
  Random random(7);
  std::vector<float> from = random_floats(random, 16 * 37 + 1, -3, 3);
  from[3] = 0x1p-130f, from[4] = -0x1p-130f, from[5] = std::numeric_limits<float>::quiet_NaN(),
  from[6] = std::numeric_limits<float>::infinity();
  const auto* bytes = reinterpret_cast<const std::byte*>(from.data());
  const auto both = [&](const char* what, size_t size, auto pack) {
    std::vector<std::byte> by_amx(size), emulated(size);
    pack.template operator()<AmxTiles>(by_amx.data()), pack.template operator()<EmulatedTiles>(emulated.data());
    EXPECT_EQ(by_amx, emulated) << what;
  };
  both("round", 64, [&]<class T>(std::byte* to) { T::round(from.data() + 1, to); });
  both("pairs", 64, [&]<class T>(std::byte* to) { T::pairs(T::load_lanes(from.data()), T::load_lanes(from.data() + 16), to); });
  both("widen", 64, [&]<class T>(std::byte* to) { T::widen(bytes + 5, to); });
  both("transpose", 16 * 80, [&]<class T>(std::byte* to) { T::transpose(bytes + 4, 37 * 4, to, 80); });
  both("transpose_halves", 8 * 64, [&]<class T>(std::byte* to) { T::transpose_halves(bytes + 2, 38, to); });
}

TEST(AmxTiles, ProductsHaveTheBitsOfEmulatedOnes) {
  if (!cpu_supports(Isa::amx)) GTEST_SKIP() << "no AMX here";
  Random random(8);
  for (int round = 0; round < 200; ++round) {
    const std::vector<uint16_t> a = some_bf16(random), b = some_bf16(random);
    std::vector<float> by_amx = kernel_test::random_floats(random, 16 * 20), emulated = by_amx;
    const auto multiply = [&](auto& tiles, std::vector<float>& sums) {
      tiles.template load<1>(sums.data(), 80), tiles.template load<4>(a.data(), 64), tiles.template load<6>(b.data(), 64);
      tiles.template zero<2>();
      tiles.template dot_bf16<1, 4, 6>();
      tiles.template dot_bf16<1, 6, 4>();
      tiles.template dot_bf16<2, 4, 6>();
      tiles.template store<1>(sums.data(), 80);
      sums.resize(16 * 20 + 256);
      tiles.template store<2>(sums.data() + 16 * 20, 64);
    };
    {
      AmxTiles tiles;
      multiply(tiles, by_amx);
    }
    EmulatedTiles tiles;
    multiply(tiles, emulated);
    ASSERT_TRUE(kernel_test::same_bits(by_amx, emulated)) << round;
  }
}

}  // namespace
}  // namespace quern

QUERN_TARGET_END
#endif
