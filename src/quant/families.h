// The formats' implementations, one family a file.
#pragma once

#include "quant/block.h"

namespace quern::quant {

FormatOps format_ops(QuantFormat format);  // of any of them

FormatOps plain_ops(QuantFormat format);       // f32, f16, bf16
FormatOps fp8_ops();                           // fp8_e4m3
FormatOps ggml_block_ops(QuantFormat format);  // q8_0, q4_0, q4_1, q5_0, q5_1
FormatOps iq4_ops(QuantFormat format);         // iq4_nl, iq4_xs
FormatOps mxfp4_ops();                         // mxfp4
FormatOps k_quant_ops(QuantFormat format);     // q2_k, q3_k, q4_k, q5_k, q6_k
FormatOps mlx_float_ops(QuantFormat format);   // mlx_mxfp4, mlx_mxfp8, mlx_nvfp4
FormatOps mlx_affine_ops(int64_t bits, int64_t group_size);

}  // namespace quern::quant
