#include "kernels/quant_linear/quant_linear.h"

#include "base/check.h"

namespace quern {

bool has_quant_linear(Isa isa, QuantFormat format) { return isa == Isa::avx512 && avx512::has_quant_linear(format); }

CodeOrder code_order(QuantFormat format) {
  switch (format) {
    case QuantFormat::mlx_mxfp4:
    case QuantFormat::mlx_affine_4_g32:
    case QuantFormat::mlx_affine_4_g64:
    case QuantFormat::mlx_affine_4_g128:
      return CodeOrder::even_odd;
    default:
      return CodeOrder::natural;
  }
}

void quant_linear(Isa isa, const QuantLinearArgs& args, int64_t begin, int64_t end) {
  QUERN_CHECK(has_quant_linear(isa, args.weight->format()) && args.x->cols() == args.weight->cols(), args.x->cols(),
              args.weight->cols());
  QUERN_CHECK(0 <= args.first_token && args.first_token + args.tokens <= args.x->tokens() && end <= args.weight->rows(),
              args.first_token, args.tokens, args.x->tokens(), end, args.weight->rows());
  if (begin < end && args.tokens > 0) avx512::quant_linear(args, begin, end);
}

void quantize_activations(Isa isa, const float* x, CodeOrder order, Int8Activations& to, int64_t token) {
  if (isa == Isa::avx512)
    avx512::quantize_activations(x, order, to, token);
  else
    to.quantize(token, x, order);
}

}  // namespace quern
