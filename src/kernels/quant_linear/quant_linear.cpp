#include "kernels/quant_linear/quant_linear.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "kernels/quant_linear/panel.h"

namespace quern {
namespace {

using panels::kChunk, panels::kRows, panels::PanelFormat, panels::PanelKernel, panels::PanelSource, panels::StripSource,
    panels::Tokens;

// Tokens that a panel serves before it is unpacked again: their codes stay in the second-level cache.
constexpr int64_t kTokenBlock = 256;

const PanelKernel* kernel_of(Isa isa) {
  return isa >= Isa::avx512 ? panels::avx512::panel_kernel() : isa == Isa::avx2 ? panels::avx2::panel_kernel() : nullptr;
}

bool is_mlx_affine(QuantFormat format) {
  return format >= QuantFormat::mlx_affine_2_g32 && format <= QuantFormat::mlx_affine_8_g128;
}

template <class T>
const T& of_affine(const panels::ForAffine<T>& all, QuantFormat format) {
  QUERN_CHECK(is_mlx_affine(format), quant_format_info(format).name);
  return all[static_cast<size_t>(format) - static_cast<size_t>(QuantFormat::mlx_affine_2_g32)];
}

// Of a format that has panels.
PanelKernel::Unpack unpacker(const PanelKernel::Unpackers& of, QuantFormat format) {
  switch (format) {
    case QuantFormat::mlx_mxfp4:
      return of.mlx_mxfp4;
    case QuantFormat::mxfp4:
      return of.mxfp4;
    case QuantFormat::q4_0:
      return of.q4_0;
    case QuantFormat::q8_0:
      return of.q8_0;
    case QuantFormat::q4_k:
      return of.q4_k;
    case QuantFormat::q5_k:
      return of.q5_k;
    case QuantFormat::q6_k:
      return of.q6_k;
    default:
      return of_affine(of.mlx_affine, format);
  }
}

const panels::StripKernel& strip_kernel(const panels::StripKernels& of, QuantFormat format) {
  return format == QuantFormat::mlx_mxfp4 ? of.mlx_mxfp4 : of_affine(of.mlx_affine, format);
}

// Fills panels from a matrix, whichever order its rows have.
class PanelFiller {
 public:
  // Rows [begin, end).
  PanelFiller(const PanelKernel& kernel, const QuantMatrix& weight, int64_t begin, int64_t end) : weight_(weight), end_(end) {
    if (weight.order() == RowOrder::strips) {
      unpack_strip_ = strip_kernel(kernel.strips, weight.format()).unpack;
    } else {
      unpack_ = unpacker(kernel.unpack, weight.format());
      if (begin < end) prefetch_first(begin);
    }
  }

  // The sixteen rows from `row` on, of which those from the end on repeat the last.
  void start(int64_t row) {
    if (unpack_strip_) {
      strip_ = {.strip = weight_.strip(row / kRows), .cols = weight_.cols()};
      return;
    }
    for (int r = 0; r < kRows; ++r) rows_.rows[r] = weight_.row(std::min(row + r, end_ - 1));
    rows_.ahead = kRows * weight_.layout().row_bytes;
  }
  // Their columns [column, column + count).
  void fill(int64_t column, int count, panels::Panel& panel) {
    if (unpack_strip_) {
      return unpack_strip_(strip_, column, count, panel);
    }
    rows_.column = column, rows_.count = count, rows_.chunk_bytes = count * weight_.layout().row_bytes / weight_.cols();
    unpack_(rows_, panel);
  }

 private:
  // What is read first, which nobody asked for ahead of time.
  void prefetch_first(int64_t begin) const {
    const std::byte* first = weight_.row(begin).codes;
    const int64_t bytes = std::min<int64_t>(kRows, end_ - begin) * weight_.layout().row_bytes;
    for (int64_t i = 0; i < std::min<int64_t>(bytes, 65536); i += 64) __builtin_prefetch(first + i, 0, 2);
  }

  const QuantMatrix& weight_;
  int64_t end_;
  PanelKernel::Unpack unpack_ = nullptr;
  void (*unpack_strip_)(const StripSource&, int64_t, int, panels::Panel&) = nullptr;
  PanelSource rows_;
  StripSource strip_;
};

}  // namespace

std::optional<PanelFormat> panels::panel_format(QuantFormat format) {
  switch (format) {
    case QuantFormat::mxfp4:
    case QuantFormat::mlx_mxfp4:
      return PanelFormat{.code_offset = 12, .code_limit = 24};  // E2M1 doubled
    case QuantFormat::q4_0:
      return PanelFormat{.code_offset = 8};
    case QuantFormat::q8_0:
      return PanelFormat{.code_offset = 128, .code_limit = 255};
    case QuantFormat::q4_k:
      return PanelFormat{.has_offsets = true};
    case QuantFormat::q5_k:
      return PanelFormat{.code_limit = 31, .has_offsets = true};
    case QuantFormat::q6_k:
      return PanelFormat{.group = 16, .code_offset = 32, .code_limit = 63};
    default:
      break;
  }
  if (!is_mlx_affine(format)) return {};
  const QuantFormatInfo& info = quant_format_info(format);
  return PanelFormat{.code_limit = (1 << info.code_bits()) - 1, .has_offsets = true};
}

bool has_quant_linear(Isa isa, QuantFormat format) { return kernel_of(isa) && panels::panel_format(format); }

InputForm input_form(Isa isa, const QuantMatrix& weight) {
  if (weight.order() == RowOrder::strips) {
    if (strip_kernel(kernel_of(isa)->strips, weight.format()).multiply == nullptr) return InputForm::rows;
    return weight.format() == QuantFormat::mlx_mxfp4 ? InputForm::e2m1_tiles : InputForm::offset_tiles;
  }
  switch (weight.format()) {
    case QuantFormat::mlx_mxfp4:
    case QuantFormat::mlx_affine_4_g32:
    case QuantFormat::mlx_affine_4_g64:
    case QuantFormat::mlx_affine_4_g128:
      return InputForm::even_odd_rows;
    default:
      return InputForm::rows;
  }
}

void quant_linear(Isa isa, const QuantLinearArgs& a, int64_t begin, int64_t end) {
  const QuantMatrix& weight = *a.weight;
  QUERN_CHECK(has_quant_linear(isa, weight.format()), quant_format_info(weight.format()).name);
  const bool tiles = is_tiles(input_form(isa, weight));
  QUERN_CHECK(tiles ? a.tiles != nullptr : a.x != nullptr);
  const int64_t cols = tiles ? a.tiles->cols() : a.x->cols(), tokens = tiles ? a.tiles->tokens() : a.x->tokens();
  QUERN_CHECK(cols == weight.cols() && 0 <= a.first_token && a.first_token + a.tokens <= tokens && end <= weight.rows(), cols,
              weight.cols(), a.first_token, a.tokens, tokens, end, weight.rows());
  const PanelKernel& kernel = *kernel_of(isa);
  if (weight.order() == RowOrder::strips) QUERN_CHECK(begin % kRows == 0 && end % kRows == 0, begin, end);
  if (tiles)
    return strip_kernel(kernel.strips, weight.format())
        .multiply(weight, begin / kRows, end / kRows, *a.tiles, a.first_token, a.tokens, a.out, a.out_stride);
  const PanelFormat format = *panels::panel_format(weight.format());
  PanelFiller filler(kernel, weight, begin, end);
  panels::Panel panel;
  alignas(64) float totals[kTokenBlock * kRows];
  for (int64_t row = begin; row < end; row += kRows) {
    filler.start(row);
    for (int64_t token = 0; token < a.tokens; token += kTokenBlock) {
      const int64_t count = std::min(kTokenBlock, a.tokens - token);
      const Tokens x{a.x->row(a.first_token + token), a.x->blocks()};
      std::fill_n(totals, count * kRows, 0.0f);
      for (int64_t column = 0; column < weight.cols(); column += kChunk) {
        const auto columns = static_cast<int>(std::min<int64_t>(kChunk, weight.cols() - column));
        filler.fill(column, columns, panel);
        const int64_t block = column / kActivationBlock;
        const Tokens chunk{{x.first.codes + column, x.first.scales + block, x.first.sums + 2 * block}, x.blocks};
        kernel.multiply(format, panel, columns / static_cast<int>(kActivationBlock), chunk, count, totals);
      }
      float* out = a.out + token * a.out_stride + row;
      if (end - row >= kRows)  // a size that the compiler knows
        for (int64_t t = 0; t < count; ++t) std::memcpy(out + t * a.out_stride, totals + t * kRows, kRows * sizeof(float));
      else
        for (int64_t t = 0; t < count; ++t) std::copy_n(totals + t * kRows, end - row, out + t * a.out_stride);
    }
  }
}

void prefetch_rows(const QuantMatrix& weight, int64_t row) {
  if (weight.order() != RowOrder::strips) return;
  const QuantRow strip = weight.strip(row / kRows);
  for (int64_t i = 0; i < 2048; i += 64) __builtin_prefetch(strip.codes + i, 0, 2);
  for (int64_t i = 0; i < 256; i += 64) {
    __builtin_prefetch(strip.scales + i, 0, 2);
    if (strip.biases) __builtin_prefetch(strip.biases + i, 0, 2);
  }
}

void quantize_activations(Isa isa, const float* x, CodeOrder order, Int8Activations& to, int64_t token) {
  if (isa >= Isa::avx512) return quern::avx512::quantize_activations(x, order, to, token);
  if (isa == Isa::avx2) return quern::avx2::quantize_activations(x, order, to, token);
  to.quantize(token, x, order);
}

}  // namespace quern
