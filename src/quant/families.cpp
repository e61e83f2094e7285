#include "quant/families.h"

#include "base/check.h"

namespace quern::quant {

FormatOps format_ops(QuantFormat format) {
  using enum QuantFormat;
  switch (format) {
    case f32:
    case f16:
    case bf16:
      return plain_ops(format);
    case fp8_e4m3:
      return fp8_ops();
    case q8_0:
    case q4_0:
    case q4_1:
    case q5_0:
    case q5_1:
      return ggml_block_ops(format);
    case iq4_nl:
    case iq4_xs:
      return iq4_ops(format);
    case mxfp4:
      return mxfp4_ops();
    case q2_k:
    case q3_k:
    case q4_k:
    case q5_k:
    case q6_k:
      return k_quant_ops(format);
    case mlx_mxfp4:
    case mlx_mxfp8:
    case mlx_nvfp4:
      return mlx_float_ops(format);
    default:
      break;
  }
  const QuantFormatInfo& info = quant_format_info(format);
  QUERN_CHECK(info.has_biases, info.name);
  return mlx_affine_ops(info.code_bits(), info.block_elements);
}

}  // namespace quern::quant
