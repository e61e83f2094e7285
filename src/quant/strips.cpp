#include "quant/strips.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "quant/bit_stream.h"

namespace quern {
namespace {

int code_bits(QuantFormat format) { return static_cast<int>(quant_format_info(format).code_bits()); }

// The byte of a column in a plane of `p` bits, and where in it.
struct PlaceInPlane {
  int64_t byte;
  int shift;
};
PlaceInPlane place_in_plane(int p, int64_t lane, int64_t column) {
  const int64_t word = column / (32 / p), within = column % (32 / p);
  return {word * 64 + lane * 4 + within % 4, static_cast<int>(within / 4) * p};
}

// Calls each(plane's first byte, p, the plane's lowest bit in a code).
template <class Each>
void for_planes(int bits, int64_t cols, Each each) {
  const auto planes = strip_planes(bits);
  each(strip_plane_at(bits, 0, cols, 0), planes[0], 0);
  if (planes[1] > 0) each(strip_plane_at(bits, 1, cols, 0), planes[1], planes[0]);
}

// values [kStripRows][count] of `size` bytes to [count][kStripRows].
void interleave(const std::byte* from, int64_t count, int64_t size, std::byte* to) {
  for (int64_t r = 0; r < kStripRows; ++r)
    for (int64_t i = 0; i < count; ++i)
      std::memcpy(to + (i * kStripRows + r) * size, from + (r * count + i) * size, static_cast<size_t>(size));
}
void take_lane(const std::byte* from, int64_t count, int64_t size, int64_t lane, std::byte* to) {
  for (int64_t i = 0; i < count; ++i) std::memcpy(to + i * size, from + (i * kStripRows + lane) * size, static_cast<size_t>(size));
}

}  // namespace

bool has_strips(QuantFormat format) { return format == QuantFormat::mlx_mxfp4 || quant_format_info(format).has_biases; }

void to_strip(QuantFormat format, int64_t cols, const QuantRow& rows, const MutableQuantRow& strip) {
  QUERN_CHECK(has_strips(format) && cols % 32 == 0, quant_format_info(format).name, cols);
  const int bits = code_bits(format);
  std::fill_n(strip.codes, kStripRows * cols * bits / 8, std::byte{0});
  for_planes(bits, cols, [&](int64_t first, int p, int low) {
    for (int64_t lane = 0; lane < kStripRows; ++lane)
      for (int64_t c = 0; c < cols; ++c) {
        const unsigned field = quant::bits_at(rows.codes + lane * cols * bits / 8, c * bits, bits) >> low & ((1U << p) - 1);
        const PlaceInPlane at = place_in_plane(p, lane, c);
        strip.codes[first + at.byte] |= static_cast<std::byte>(field << at.shift);
      }
  });
  const int64_t groups = cols / quant_format_info(format).block_elements, size = scale_type_bytes(rows.scale_type);
  interleave(rows.scales, groups, size, strip.scales);
  if (rows.biases) interleave(rows.biases, groups, size, strip.biases);
}

void from_strip(QuantFormat format, int64_t cols, const QuantRow& strip, int64_t lane, const MutableQuantRow& row) {
  QUERN_CHECK(has_strips(format) && cols % 32 == 0 && 0 <= lane && lane < kStripRows, quant_format_info(format).name, cols, lane);
  const int bits = code_bits(format);
  std::fill_n(row.codes, cols * bits / 8, std::byte{0});
  for_planes(bits, cols, [&](int64_t first, int p, int low) {
    for (int64_t c = 0; c < cols; ++c) {
      const PlaceInPlane from = place_in_plane(p, lane, c);
      const unsigned field = std::to_integer<unsigned>(strip.codes[first + from.byte]) >> from.shift & ((1U << p) - 1);
      quant::put_bits(row.codes, c * bits + low, field);
    }
  });
  const int64_t groups = cols / quant_format_info(format).block_elements, size = scale_type_bytes(strip.scale_type);
  take_lane(strip.scales, groups, size, lane, row.scales);
  if (strip.biases) take_lane(strip.biases, groups, size, lane, row.biases);
}

}  // namespace quern
