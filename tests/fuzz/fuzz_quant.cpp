// Any bytes as a matrix of any format: they decode and multiply, and what decoded to finite weights encodes again.
#include <algorithm>
#include <cmath>
#include <span>

#include "fuzz.h"
#include "quant/quant_matrix.h"
#include "quant/strips.h"

using namespace quern;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 4) return 0;
  const QuantFormatInfo& info = quant_formats()[data[0] % quant_formats().size()];
  const bool any_cols = info.block_elements == 1 || info.partial_blocks;
  const bool strips = data[3] & 32 && has_strips(info.format);
  const int64_t rows = strips ? kStripRows * (data[1] % 4) : data[1] % 4,
                cols = any_cols ? data[2] : data[2] % 3 * info.block_elements;
  const auto scale_type = static_cast<ScaleType>(data[3] % 6);
  const auto layout = quant_layout(info.format, rows, cols, scale_type);
  if (!fuzz::succeeded(layout)) return 0;

  // The input's bytes, repeated as far as the shape takes.
  size_t at = 4;
  const auto part = [&](int64_t count) {
    std::vector<std::byte> bytes(static_cast<size_t>(count));
    for (std::byte& b : bytes) b = static_cast<std::byte>(size > 4 ? data[4 + at++ % (size - 4)] : 0);
    return bytes;
  };
  const std::vector<std::byte> codes = part(layout->code_bytes), scales = part(layout->scale_bytes);
  const std::vector<std::byte> biases = part(info.has_biases ? layout->scale_bytes : 0);
  const auto matrix = QuantMatrix::make(info.format, rows, cols,
                                        {.codes = codes,
                                         .scales = scales,
                                         .biases = biases,
                                         .scale_type = scale_type,
                                         .order = strips ? RowOrder::strips : RowOrder::rows});
  QUERN_CHECK(matrix.has_value(), info.name);

  std::vector<float> weights(static_cast<size_t>(rows * cols));
  Int8Activations x;
  x.resize(1, cols);
  for (int64_t r = 0; r < rows; ++r) {
    matrix->decode_row(r, weights.data() + r * cols);
    x.quantize(0, weights.data() + r * cols);
    (void)matrix->dot(r, x, 0);
  }
  // A range of rows is those rows.
  const int64_t first = rows > 0 ? data[1] / 4 % rows : 0;
  const QuantMatrix range = matrix->row_range(first, rows - first);
  std::vector<float> row(static_cast<size_t>(cols));
  for (int64_t r = 0; r < range.rows(); ++r) {
    range.decode_row(r, row.data());
    // Bytes: NaNs are to be the same ones, and there may be no columns.
    const auto bytes = std::as_bytes(std::span(row)),
               same = std::as_bytes(std::span(weights).subspan(static_cast<size_t>((first + r) * cols), row.size()));
    QUERN_CHECK(std::equal(bytes.begin(), bytes.end(), same.begin()), info.name, first, r);
  }
  const bool finite = std::all_of(weights.begin(), weights.end(), [](float w) { return std::isfinite(w); });
  const auto search = data[3] & 64 ? ScaleSearch::full : ScaleSearch::none;
  const auto encoded = encode(info.format, rows, cols, weights, {.search = search, .scale_type = scale_type});
  QUERN_CHECK(encoded.has_value() == (finite || info.block_elements == 1), info.name);
  // With any factors of feedback it is refused for the same weights, and for no others.
  if (cols > 512) return 0;
  std::vector<float> factors(static_cast<size_t>(cols * cols));
  for (size_t i = 0; i < factors.size(); ++i) factors[i] = static_cast<float>(data[i % size] - 128) / 16;
  const auto fed_back = encode(info.format, rows, cols, weights, {.feedback = factors, .search = search, .scale_type = scale_type});
  QUERN_CHECK(fed_back.has_value() == encoded.has_value(), info.name);
  return 0;
}
