#include "quant/quant_matrix.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "quant/families.h"
#include "quant/strips.h"

namespace quern {
namespace {

Result<void> check_part(std::string_view name, std::string_view part, std::span<const std::byte> bytes, int64_t expected) {
  if (static_cast<int64_t>(bytes.size()) == expected) return {};
  return fail(Errc::mismatch, "{}: {} of {} bytes, expected {}", name, part, bytes.size(), expected);
}

}  // namespace

Result<QuantMatrix> QuantMatrix::make(QuantFormat format, int64_t rows, int64_t cols, const Parts& parts) {
  QuantMatrix matrix;
  QUERN_ASSIGN(matrix.layout_, quant_layout(format, rows, cols, parts.scale_type));
  const QuantFormatInfo& info = quant_format_info(format);
  QUERN_TRY(check_part(info.name, "codes", parts.codes, matrix.layout_.code_bytes));
  QUERN_TRY(check_part(info.name, "scales", parts.scales, matrix.layout_.scale_bytes));
  QUERN_TRY(check_part(info.name, "biases", parts.biases, info.has_biases ? matrix.layout_.scale_bytes : 0));
  if (parts.order == RowOrder::strips && (!has_strips(format) || rows % kStripRows != 0))
    return fail(Errc::mismatch, "{}: {} rows do not lie in strips of {}", info.name, rows, kStripRows);
  matrix.format_ = format, matrix.rows_ = rows, matrix.cols_ = cols, matrix.parts_ = parts;
  if (parts.scale_type == ScaleType::none) matrix.parts_.scale_type = info.scale_type;
  return matrix;
}

bool QuantMatrix::has_own_scale_type() const { return parts_.scale_type == quant_format_info(format_).scale_type; }

int64_t QuantMatrix::rows_together() const {
  return order() == RowOrder::strips ? kStripRows : quant_format_info(format_).scale_rows;
}

QuantRow QuantMatrix::row(int64_t r) const {
  QUERN_CHECK(order() == RowOrder::rows && 0 <= r && r < rows_, r, rows_);
  QuantRow row{.codes = parts_.codes.data() + r * layout_.row_bytes, .scale_type = parts_.scale_type};
  const int64_t scale_row = (rows_before_ + r) / quant_format_info(format_).scale_rows;
  const int64_t scale_at = scale_row * layout_.scale_cols * scale_type_bytes(parts_.scale_type);
  if (!parts_.scales.empty()) row.scales = parts_.scales.data() + scale_at;
  if (!parts_.biases.empty()) row.biases = parts_.biases.data() + scale_at;
  return row;
}

QuantRow QuantMatrix::strip(int64_t s) const {
  QUERN_CHECK(order() == RowOrder::strips && rows_before_ == 0 && 0 <= s && s * kStripRows < rows_, s, rows_, rows_before_);
  const int64_t scale_at = s * kStripRows * layout_.scale_cols * scale_type_bytes(parts_.scale_type);
  return {.codes = parts_.codes.data() + s * kStripRows * layout_.row_bytes,
          .scales = parts_.scales.data() + scale_at,
          .biases = parts_.biases.empty() ? nullptr : parts_.biases.data() + scale_at,
          .scale_type = parts_.scale_type};
}

void QuantMatrix::copy_row(int64_t r, const MutableQuantRow& to) const {
  if (order() == RowOrder::strips) {
    QUERN_CHECK(0 <= r && r < rows_, r, rows_);
    QuantMatrix whole = *this;
    whole.rows_ += rows_before_, whole.rows_before_ = 0;
    return from_strip(format_, cols_, whole.strip((rows_before_ + r) / kStripRows), (rows_before_ + r) % kStripRows, to);
  }
  const QuantRow from = row(r);
  const auto copy = [](std::byte* out, const std::byte* in, int64_t bytes) {
    if (in && bytes > 0) std::memcpy(out, in, static_cast<size_t>(bytes));
  };
  const int64_t scale_bytes = layout_.scale_cols * scale_type_bytes(parts_.scale_type);
  copy(to.codes, from.codes, layout_.row_bytes);
  copy(to.scales, from.scales, scale_bytes);
  copy(to.biases, from.biases, scale_bytes);
}

QuantMatrix QuantMatrix::row_range(int64_t first, int64_t count) const {
  QUERN_CHECK(0 <= first && 0 <= count && count <= rows_ - first, first, count, rows_);
  const auto part = [](std::span<const std::byte> bytes, int64_t begin, int64_t size) {
    return bytes.empty() ? bytes : bytes.subspan(static_cast<size_t>(begin), static_cast<size_t>(size));
  };
  const int64_t together = rows_together(), begin = rows_before_ + first, end = begin + count;
  const int64_t from = begin / together, to = (end + together - 1) / together;  // of what lies together
  QuantMatrix range = *this;
  range.rows_ = count, range.rows_before_ = begin % together;
  if (order() == RowOrder::strips) {
    range.layout_.code_bytes = (to - from) * together * layout_.row_bytes;
    range.parts_.codes = part(parts_.codes, from * together * layout_.row_bytes, range.layout_.code_bytes);
  } else {
    range.layout_.code_bytes = count * layout_.row_bytes;
    range.parts_.codes = part(parts_.codes, first * layout_.row_bytes, range.layout_.code_bytes);
  }
  if (layout_.scale_rows == 0) return range;
  const int64_t rows_of_scales = order() == RowOrder::strips ? together : 1;
  const int64_t scale_row = layout_.scale_cols * scale_type_bytes(parts_.scale_type);
  range.layout_.scale_rows = (to - from) * rows_of_scales;
  range.layout_.scale_bytes = range.layout_.scale_rows * scale_row;
  range.parts_.scales = part(parts_.scales, from * rows_of_scales * scale_row, range.layout_.scale_bytes);
  range.parts_.biases = part(parts_.biases, from * rows_of_scales * scale_row, range.layout_.scale_bytes);
  return range;
}

// Calls use(row r by itself), of strips a copy.
template <class Use>
auto QuantMatrix::with_row(int64_t r, Use use) const {
  if (order() == RowOrder::rows) return use(row(r));
  thread_local std::vector<std::byte> bytes;
  const int64_t scale_bytes = layout_.scale_cols * scale_type_bytes(parts_.scale_type);
  bytes.resize(static_cast<size_t>(layout_.row_bytes + 2 * scale_bytes));
  const MutableQuantRow copy{.codes = bytes.data(),
                             .scales = bytes.data() + layout_.row_bytes,
                             .biases = parts_.biases.empty() ? nullptr : bytes.data() + layout_.row_bytes + scale_bytes,
                             .scale_type = parts_.scale_type};
  copy_row(r, copy);
  return use(QuantRow{copy.codes, copy.scales, copy.biases, copy.scale_type});
}

void QuantMatrix::decode_row(int64_t r, float* out) const {
  with_row(r, [&](const QuantRow& row) { quant::format_ops(format_).decode(row, cols_, out); });
}

void QuantMatrix::magnitude_row(int64_t r, float* out) const {
  with_row(r, [&](const QuantRow& row) { quant::format_ops(format_).magnitude(row, cols_, out); });
}

float QuantMatrix::dot(int64_t r, const Int8Activations& x, int64_t token) const {
  QUERN_CHECK(x.cols() == cols_ && 0 <= token && token < x.tokens(), x.cols(), cols_, token);
  return with_row(r, [&](const QuantRow& row) { return quant::format_ops(format_).dot(row, cols_, x.row(token)); });
}

}  // namespace quern
