#include "kernels/attention/attention.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "kernels/attention/tile_attention.h"
#include "kernels/kernel_test.h"
#include "kernels/tiles/emulated.h"

namespace quern {
namespace {

using namespace kernel_test;

struct Shape {
  int64_t tokens, first, heads, kv_heads, head_dim;
  int64_t positions() const { return first + tokens; }
};
// Short of a page, across its edge, on it, several pages; head dims with and without vector tails.
const Shape kShapes[] = {{1, 0, 2, 1, 8},    {5, 61, 6, 3, 40},    {64, 0, 4, 2, 33},  {7, 200, 8, 2, 64},
                         {3, 64, 3, 3, 5},   {2, 127, 16, 2, 256}, {3, 510, 4, 2, 16}, {1, 1100, 5, 1, 16},
                         {4, 33, 14, 2, 48}, {3, 130, 6, 2, 32},   {2, 61, 5, 1, 96},  {1, 640, 22, 2, 64}};
const KvFormat kFormats[] = {KvFormat::f32, KvFormat::bf16, KvFormat::int8};

// An instruction set; or emulated tiles, and the scalar loops for what does not fit them.
struct Version {
  Isa isa = Isa::scalar;
  bool emulated = false;

  bool tiles(const AttentionArgs& a) const { return (emulated || isa == Isa::amx) && fits_tiles(a); }
  // Whether queries and weights are rounded to bf16.
  bool in_bf16(const AttentionArgs& a) const {
    return tiles(a) || (isa >= Isa::avx512 && a.format == KvFormat::bf16 && a.head_dim % 32 == 0 && cpu_multiplies_bf16());
  }
  void attention(const AttentionArgs& a, int64_t begin, int64_t end, int64_t kv_head) const {
    if (emulated && fits_tiles(a)) return TileAttention<EmulatedTiles>::attention(a, begin, end, kv_head);
    quern::attention(isa, a, begin, end, kv_head);
  }
  void block(const AttentionArgs& a, int64_t kv_head, int64_t block, float* partials, int64_t stride) const {
    if (emulated && fits_tiles(a)) return TileAttention<EmulatedTiles>::block(a, 0, a.tokens, kv_head, block, partials, stride);
    attention_block(isa, a, 0, a.tokens, kv_head, block, partials, stride);
  }
  void join(const AttentionArgs& a, int64_t token, int64_t block, float* partial, const float* of_block) const {
    if (emulated && fits_tiles(a)) return TileAttention<EmulatedTiles>::join(a, token, block, partial, of_block);
    attention_join(isa, a, token, block, partial, of_block);
  }
};
std::vector<Version> attention_versions() {
  std::vector<Version> all;
  for (const Isa isa : versions()) all.push_back({isa});
  all.push_back({.emulated = true});
  return all;
}

std::string name(const Shape& s, KvFormat format, const Version& version) {
  return fmt::format("{} format {}: {} tokens from {}, heads {}/{} of {}",
                     version.emulated ? "emulated tiles" : isa_name(version.isa), static_cast<int>(format), s.tokens, s.first,
                     s.heads, s.kv_heads, s.head_dim);
}

// What a page returns for x, by the format's definition.
std::vector<double> stored(KvFormat format, const float* x, int64_t n) {
  std::vector<double> out;
  float highest = 0;
  for (int64_t i = 0; i < n; ++i) highest = std::max(highest, std::abs(x[i]));
  const float scale = highest / 127.0f;
  for (int64_t i = 0; i < n; ++i) {
    if (format == KvFormat::f32) out.push_back(static_cast<double>(x[i]));
    if (format == KvFormat::bf16) out.push_back(static_cast<double>(bf16_to_f32(f32_to_bf16(x[i]))));
    if (format == KvFormat::int8)
      out.push_back(scale > 0 ? static_cast<double>(scale) * static_cast<double>(std::nearbyint(x[i] / scale)) : 0);
  }
  return out;
}

struct Sequence {
  Shape shape;
  KvFormat format;
  int64_t q_stride;
  std::vector<float> q_gate, k, v;
  std::vector<std::vector<std::byte>> memory;
  std::vector<KvPage> pages;

  Sequence(Shape s, KvFormat f, uint64_t seed) : shape(s), format(f), q_stride(s.heads * 2 * s.head_dim + 3) {
    Random random(seed);
    q_gate = random_floats(random, s.tokens * q_stride + 1, -2, 2);
    k = random_floats(random, s.positions() * s.kv_heads * s.head_dim, -2, 2);
    v = random_floats(random, s.positions() * s.kv_heads * s.head_dim, -2, 2);
    for (int64_t p = 0; p < s.positions(); p += kKvPagePositions)
      memory.emplace_back(kv_page_bytes(f, s.kv_heads, s.head_dim), std::byte{0xFF});
    for (auto& page : memory) pages.push_back({page.data()});
    for (int64_t p = 0; p < s.positions(); ++p) store(p, k.data(), v.data());
  }
  void store(int64_t p, const float* keys, const float* values) {
    const int64_t at = p * shape.kv_heads * shape.head_dim;
    kv_store(format, shape.kv_heads, shape.head_dim, pages[static_cast<size_t>(p / kKvPagePositions)], p % kKvPagePositions,
             keys + at, values + at);
  }
  AttentionArgs args(Guarded& out, int64_t token, int64_t tokens) const {
    return {.tokens = tokens,
            .heads = shape.heads,
            .kv_heads = shape.kv_heads,
            .head_dim = shape.head_dim,
            .q_gate = q_gate.data() + 1 + token * q_stride,
            .q_stride = q_stride,
            .format = format,
            .pages = pages,
            .first_position = shape.first + token,
            .out = out.row(token),
            .out_stride = out.stride()};
  }
  Guarded output() const { return Guarded(shape.tokens, shape.heads * shape.head_dim, 7); }
};

// Tokens [begin, end), `together` at a time.
void run(const Version& version, const AttentionArgs& a, int64_t begin, int64_t end, int64_t together = 3) {
  for (int64_t kv_head = 0; kv_head < a.kv_heads; ++kv_head)
    for (int64_t t = begin; t < end; t += together) version.attention(a, t, std::min(t + together, end), kv_head);
}
// Block by block, the last first.
void run_by_blocks(const Version& version, const AttentionArgs& a) {
  const int64_t size = a.partial_size(), of_token = a.blocks() * size;
  std::vector<float> partials(static_cast<size_t>(a.tokens * of_token));
  for (int64_t kv_head = 0; kv_head < a.kv_heads; ++kv_head) {
    for (int64_t b = a.blocks() - 1; b >= 0; --b) version.block(a, kv_head, b, partials.data() + b * size, of_token);
    for (int64_t t = 0; t < a.tokens; ++t) {
      float* of_this = partials.data() + t * of_token;
      for (int64_t b = 1; b < a.blocks(); ++b) version.join(a, t, b, of_this, of_this + b * size);
      attention_finish(version.isa, a, t, kv_head, of_this);
    }
  }
}
std::vector<float> run(const Version& version, const Sequence& in) {
  Guarded out = in.output();
  const AttentionArgs a = in.args(out, 0, in.shape.tokens);
  run(version, a, 0, a.tokens);
  EXPECT_TRUE(out.intact());
  return out.values();
}

TEST(Attention, MatchesTheDefinitionInEveryPageFormat) {
  for (const Version& version : attention_versions())
    for (const KvFormat format : kFormats)
      for (const Shape& s : kShapes) {
        SCOPED_TRACE(name(s, format, version));
        const Sequence in(s, format, 17);
        const std::vector<float> got = run(version, in);
        Guarded unused = in.output();
        const bool in_bf16 = version.in_bf16(in.args(unused, 0, 1));
        for (int64_t t = 0; t < s.tokens; ++t)
          for (int64_t h = 0; h < s.heads; ++h) {
            const float* q = in.q_gate.data() + 1 + t * in.q_stride + h * 2 * s.head_dim;
            const auto query = [&](int64_t i) { return static_cast<double>(in_bf16 ? bf16_to_f32(f32_to_bf16(q[i])) : q[i]); };
            std::vector<double> scores, sum(static_cast<size_t>(s.head_dim), 0.0);
            double largest_dot = 0, total = 0;
            const int64_t kv = h / (s.heads / s.kv_heads);
            for (int64_t p = 0; p <= s.first + t; ++p) {
              const std::vector<double> key = stored(format, in.k.data() + (p * s.kv_heads + kv) * s.head_dim, s.head_dim);
              double dot = 0, size = 0;
              for (int64_t i = 0; i < s.head_dim; ++i)
                dot += query(i) * key[static_cast<size_t>(i)], size += std::abs(query(i) * key[static_cast<size_t>(i)]);
              scores.push_back(dot / std::sqrt(static_cast<double>(s.head_dim)));
              largest_dot = std::max(largest_dot, size / std::sqrt(static_cast<double>(s.head_dim)));
            }
            const double highest = *std::max_element(scores.begin(), scores.end());
            for (size_t p = 0; p < scores.size(); ++p) {
              const double weight = std::exp(scores[p] - highest);
              total += weight;
              const std::vector<double> value =
                  stored(format, in.v.data() + (static_cast<int64_t>(p) * s.kv_heads + kv) * s.head_dim, s.head_dim);
              for (size_t i = 0; i < sum.size(); ++i) sum[i] += weight * value[i];
            }
            // An error in a score is a relative error of its weight, on both sides of the quotient; values are at most 2.
            // Where weights are rounded to bf16, each is off by a part in 512.
            const double bound =
                (in_bf16 ? 2 * 0x1p-9 : 0) +
                2 * kUnit * (2 * static_cast<double>(s.head_dim + 4) * largest_dot + static_cast<double>(scores.size() + 16));
            for (int64_t i = 0; i < s.head_dim; ++i) {
              const double want = sum[static_cast<size_t>(i)] / total / (1 + std::exp(-static_cast<double>(q[s.head_dim + i])));
              ASSERT_NEAR(static_cast<double>(got[static_cast<size_t>((t * s.heads + h) * s.head_dim + i)]), want, bound)
                  << "token " << t << " head " << h << " dim " << i;
            }
          }
      }
}

TEST(Attention, TokensAloneInRangesAndByBlocksHaveTheSameBits) {
  Random random(4);
  for (const Version& version : attention_versions())
    for (const KvFormat format : kFormats)
      for (const Shape& s : kShapes) {
        SCOPED_TRACE(name(s, format, version));
        const Sequence in(s, format, 18);
        const std::vector<float> whole = run(version, in);
        Guarded single = in.output(), split = in.output();
        for (int64_t t = 0; t < s.tokens; ++t) run(version, in.args(single, t, 1), 0, 1);
        const AttentionArgs a = in.args(split, 0, s.tokens);
        in_random_ranges(random, s.tokens, [&](int64_t begin, int64_t end) { run(version, a, begin, end, random.between(1, 9)); });
        EXPECT_TRUE(same_bits(single.values(), whole));
        EXPECT_TRUE(same_bits(split.values(), whole));
        Guarded blocks = in.output();
        run_by_blocks(version, in.args(blocks, 0, s.tokens));
        EXPECT_TRUE(same_bits(blocks.values(), whole));
      }
}

TEST(Attention, PositionsAfterAQueryAreNeverRead) {
  for (const Version& version : attention_versions())
    for (const KvFormat format : kFormats) {
      for (const int64_t head_dim : {24, 64}) {
        Sequence in({70, 30, 4, 2, head_dim}, format, 19);
        const std::vector<float> before = run(version, in);
        const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
        const std::vector<float> no_keys(in.k.size(), nan), no_values(in.k.size(), format == KvFormat::int8 ? inf : nan);
        for (int64_t p = 50; p < in.shape.positions(); ++p) in.store(p, no_keys.data(), no_values.data());
        const std::vector<float> after = run(version, in);
        const auto untouched = static_cast<std::ptrdiff_t>(20 * 4 * head_dim);  // tokens at positions 30 .. 49
        EXPECT_TRUE(same_bits({before.begin(), before.begin() + untouched}, {after.begin(), after.begin() + untouched}));
        EXPECT_TRUE(std::isnan(after.back()));
      }
    }
}

TEST(Attention, HugeScoresDoNotOverflow) {
  for (const Version& version : attention_versions()) {
    for (const KvFormat format : kFormats) {
      Sequence in({4, 3, 2, 1, 32}, format, 20);
      for (float& x : in.q_gate) x *= 1e4f;
      for (float& x : in.k) x *= 1e4f;
      for (int64_t p = 0; p < in.shape.positions(); ++p) in.store(p, in.k.data(), in.v.data());
      for (const float value : run(version, in))
        EXPECT_TRUE(std::abs(value) <= 2.01f) << value;  // a mean of values within [-2, 2], gated
    }
  }
}

TEST(Attention, PositionsThatScoreMinusInfinityCountForNothing) {
  for (const Version& version : attention_versions())
    for (const KvFormat format : {KvFormat::f32, KvFormat::bf16}) {
      Sequence in({1, 700, 2, 1, 32}, format, 23);
      SCOPED_TRACE(name(in.shape, format, version));
      const float inf = std::numeric_limits<float>::infinity();
      std::vector<float> keys = in.k;
      for (size_t i = 0; i < 32; ++i) in.q_gate[1 + i] = in.q_gate[1 + 64 + i] = 1;
      for (int64_t p = 0; p < 600; ++p) std::fill_n(keys.begin() + p * 32, 32, -inf);  // the first page, the first block
      for (int64_t p = 0; p < in.shape.positions(); ++p) in.store(p, keys.data(), in.v.data());
      for (const float value : run(version, in)) EXPECT_TRUE(std::abs(value) <= 2.01f) << value;
      Guarded blocks = in.output();
      run_by_blocks(version, in.args(blocks, 0, 1));
      EXPECT_TRUE(same_bits(blocks.values(), run(version, in)));
    }
}

TEST(Attention, AScoreThatIsNoNumberMakesTheOutputNone) {
  for (const Version& version : attention_versions())
    for (const KvFormat format : {KvFormat::f32, KvFormat::bf16})
      for (const int64_t head_dim : {24, 32})
        for (const int64_t position : {0, 5, 64}) {  // the first of a page, the middle, the first of the next
          Sequence in({1, 69, 2, 1, head_dim}, format, 25);
          SCOPED_TRACE(name(in.shape, format, version));
          in.k[static_cast<size_t>(position * head_dim)] = std::numeric_limits<float>::quiet_NaN();
          in.store(position, in.k.data(), in.v.data());
          for (const float value : run(version, in)) EXPECT_TRUE(std::isnan(value)) << position << ": " << value;
        }
}

TEST(Attention, AmxFindsTheBitsThatEmulatedTilesFind) {
  if (!cpu_supports(Isa::amx)) GTEST_SKIP() << "no AMX here";
  for (const KvFormat format : {KvFormat::bf16, KvFormat::int8})
    for (const Shape& s : kShapes) {
      const Sequence in(s, format, 24);
      SCOPED_TRACE(name(s, format, {Isa::amx}));
      Guarded unused = in.output();
      const AttentionArgs a = in.args(unused, 0, s.tokens);
      if (!fits_tiles(a)) continue;
      std::vector<float> by_amx(static_cast<size_t>(s.tokens * a.partial_size())), emulated = by_amx;
      for (int64_t block = 0; block < a.blocks(); ++block) {
        Version{Isa::amx}.block(a, 0, block, by_amx.data(), a.partial_size());
        Version{.emulated = true}.block(a, 0, block, emulated.data(), a.partial_size());
        EXPECT_TRUE(same_bits(by_amx, emulated)) << "block " << block;
      }
    }
}

TEST(KvStore, TouchesOneSlotOfThePageOnly) {
  for (const KvFormat format : kFormats) {
    const size_t bytes = kv_page_bytes(format, 3, 7);
    std::vector<std::byte> page(bytes, std::byte{0xA5});
    const std::vector<float> k(21, 1.5f), v(21, -0.5f);
    kv_store(format, 3, 7, {page.data()}, 63, k.data(), v.data());
    const size_t element = format == KvFormat::f32 ? 4 : format == KvFormat::bf16 ? 2 : 1;
    const auto changed = std::count_if(page.begin(), page.end(), [](std::byte b) { return b != std::byte{0xA5}; });
    EXPECT_LE(static_cast<size_t>(changed), 2 * 21 * element + (format == KvFormat::int8 ? 2 * 3 * 4 : 0));
    for (size_t head = 0; head < 2 * 3; ++head)      // of keys, then of values
      for (size_t i = 0; i < 63 * 7 * element; ++i)  // the slots before it
        ASSERT_EQ(page[head * kKvPagePositions * 7 * element + i], std::byte{0xA5});
  }
}

TEST(KvStore, Int8KeepsTheLargestValueAndTheRestWithinHalfAStep) {
  Random random(21);
  const std::vector<float> k = random_floats(random, 50, -3, 3), v(50, 0.0f);
  std::vector<std::byte> page(kv_page_bytes(KvFormat::int8, 1, 50));
  kv_store(KvFormat::int8, 1, 50, {page.data()}, 0, k.data(), v.data());
  const std::byte* scales = page.data() + 2 * kKvPagePositions * 50;
  const float scale = load_f32(DType::f32, scales, 0);
  for (size_t i = 0; i < k.size(); ++i)
    EXPECT_NEAR(scale * static_cast<float>(static_cast<int8_t>(page[i])), k[i], scale * 0.50001f);
  EXPECT_EQ(load_f32(DType::f32, scales, kKvPagePositions), 0.0f);  // a zero vector has scale zero and reads back as zero
}

// A scale among the subnormals is coarse: the quotient can pass 127 and must not wrap around to the other sign.
TEST(KvStore, Int8NeverTurnsATinyValueAround) {
  for (int steps = 1; steps < 2000; ++steps) {
    const float x[] = {static_cast<float>(steps) * 0x1p-149f, -static_cast<float>(steps) * 0x1p-149f};
    std::vector<std::byte> page(kv_page_bytes(KvFormat::int8, 1, 2));
    kv_store(KvFormat::int8, 1, 2, {page.data()}, 0, x, x);
    ASSERT_GE(static_cast<int>(static_cast<int8_t>(page[0])), 0) << steps;
    ASSERT_LE(static_cast<int>(static_cast<int8_t>(page[1])), 0) << steps;
  }
}

}  // namespace
}  // namespace quern
