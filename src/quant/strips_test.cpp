#include "quant/strips.h"

#include "base/random.h"
#include "quant/quant_matrix.h"
#include "quant/quant_test.h"

namespace quern {
namespace {

// A matrix of any bytes, row by row and in strips.
struct Both {
  QuantBytes rows, strips;
  QuantMatrix by_rows, in_strips;

  Both(const QuantFormatInfo& info, int64_t count, int64_t cols, uint64_t seed) {
    const QuantLayout layout = quant_layout(info.format, count, cols).value();
    Random random(seed);
    const auto fill = [&](std::vector<std::byte>& bytes, int64_t size) {
      for (int64_t i = 0; i < size; ++i) bytes.push_back(static_cast<std::byte>(random.between(0, 255)));
    };
    fill(rows.codes, layout.code_bytes), fill(rows.scales, layout.scale_bytes);
    if (info.has_biases) fill(rows.biases, layout.scale_bytes);
    by_rows = QuantMatrix::make(info.format, count, cols, rows.parts()).value();
    strips = quant_test::in_strips(by_rows);
    in_strips = QuantMatrix::make(info.format, count, cols, strips.parts(ScaleType::none, RowOrder::strips)).value();
  }
};

template <class Body>
void for_each_format(Body body) {
  for (const QuantFormatInfo& info : quant_formats()) {
    if (!has_strips(info.format)) continue;
    SCOPED_TRACE(info.name);
    body(info);
  }
}

std::vector<std::byte> row_bytes(const QuantMatrix& m, int64_t r) {
  const QuantFormatInfo& info = quant_format_info(m.format());
  const auto codes = static_cast<size_t>(m.layout().row_bytes),
             scales = static_cast<size_t>(m.layout().scale_cols * scale_type_bytes(info.scale_type));
  std::vector<std::byte> bytes(codes + 2 * scales);
  m.copy_row(r, {bytes.data(), bytes.data() + codes, info.has_biases ? bytes.data() + codes + scales : nullptr});
  return bytes;
}

TEST(Strips, HoldTheVeryBitsOfTheirRows) {
  for_each_format([](const QuantFormatInfo& info) {
    const Both both(info, 48, info.block_elements * 3, 1);
    EXPECT_EQ(both.in_strips.bytes(), both.by_rows.bytes());
    for (int64_t r = 0; r < 48; ++r) EXPECT_EQ(row_bytes(both.in_strips, r), row_bytes(both.by_rows, r)) << r;
  });
}

TEST(Strips, DecodeAndMultiplyAsTheirRowsDo) {
  for_each_format([](const QuantFormatInfo& info) {
    const int64_t cols = info.block_elements * 2;
    const Both both(info, 32, cols, 2);
    Random random(3);
    std::vector<float> x(static_cast<size_t>(cols)), a(x.size()), b(x.size());
    for (float& value : x) value = static_cast<float>(2 * random.unit() - 1);
    Int8Activations coded;
    coded.resize(1, cols);
    coded.quantize(0, x.data());
    for (int64_t r = 0; r < 32; ++r) {
      both.by_rows.decode_row(r, a.data()), both.in_strips.decode_row(r, b.data());
      EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0) << r;
      const float dots[] = {both.by_rows.dot(r, coded, 0), both.in_strips.dot(r, coded, 0)};
      EXPECT_EQ(std::memcmp(&dots[0], &dots[1], sizeof(float)), 0) << r;
    }
  });
}

TEST(Strips, RangesOfRowsNeedNotBeginWithAStrip) {
  for_each_format([](const QuantFormatInfo& info) {
    const Both both(info, 64, info.block_elements, 4);
    const QuantMatrix range = both.in_strips.row_range(10, 41), part = range.row_range(23, 3), strip = range.row_range(6, 16);
    for (int64_t r = 0; r < 41; ++r) EXPECT_EQ(row_bytes(range, r), row_bytes(both.by_rows, 10 + r)) << r;
    for (int64_t r = 0; r < 3; ++r) EXPECT_EQ(row_bytes(part, r), row_bytes(both.by_rows, 33 + r)) << r;
    EXPECT_EQ(strip.strip(0).codes, both.in_strips.strip(1).codes);
  });
}

// Column by column as the layout is described.
TEST(Strips, LieAsTheirDescriptionSays) {
  const auto byte = [](const QuantBytes& b, size_t i) { return std::to_integer<int>(b.codes[i]); };
  const Both four(quant_format_info(QuantFormat::mlx_mxfp4), 16, 32, 5),
      six(quant_format_info(QuantFormat::mlx_affine_6_g32), 16, 32, 6);
  for (size_t r = 0; r < 16; ++r)
    for (size_t c = 0; c < 32; ++c) {
      const int nibble = byte(four.rows, r * 16 + c / 2) >> (c % 2 * 4) & 15;
      EXPECT_EQ(byte(four.strips, c / 8 * 64 + r * 4 + c % 4) >> (c / 4 % 2 * 4) & 15, nibble);
      const size_t bit = c * 6;
      const int code =
          (byte(six.rows, r * 24 + bit / 8) | (bit / 8 < 23 ? byte(six.rows, r * 24 + bit / 8 + 1) << 8 : 0)) >> bit % 8 & 63;
      const int low = byte(six.strips, c / 8 * 64 + r * 4 + c % 4) >> (c / 4 % 2 * 4) & 15,
                high = byte(six.strips, 256 + c / 16 * 64 + r * 4 + c % 4) >> (c / 4 % 4 * 2) & 3;
      EXPECT_EQ(low | high << 4, code);
    }
  for (size_t r = 0; r < 16; ++r) EXPECT_EQ(four.strips.scales[r], four.rows.scales[r]);
}

TEST(Strips, AreRefusedWhereThereAreNone) {
  const QuantLayout layout = quant_layout(QuantFormat::q8_0, 16, 32).value();
  const std::vector<std::byte> codes(static_cast<size_t>(layout.code_bytes));
  EXPECT_FALSE(QuantMatrix::make(QuantFormat::q8_0, 16, 32, {.codes = codes, .order = RowOrder::strips}));
  const std::vector<std::byte> short_codes(8 * 16), scales(8);
  const auto short_strip =
      QuantMatrix::make(QuantFormat::mlx_mxfp4, 8, 32, {.codes = short_codes, .scales = scales, .order = RowOrder::strips});
  ASSERT_FALSE(short_strip);
  EXPECT_NE(short_strip.error().message.find("8 rows do not lie in strips of 16"), std::string::npos);
}

}  // namespace
}  // namespace quern
