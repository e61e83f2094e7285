// The inner loops of attention, per instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/cpu_features.h"

namespace quern {

struct AttentionInner {
  float (*dot)(const float* a, const float* b, int64_t n);
  void (*axpy)(float s, const float* x, int64_t n, float* out);  // out += s * x
  void (*unpack_bf16)(const std::byte* from, int64_t n, float* out);
  void (*unpack_int8)(const std::byte* from, float scale, int64_t n, float* out);
};

const AttentionInner& attention_inner(Isa isa);

namespace scalar {
extern const AttentionInner attention_inner;
}
namespace avx2 {
extern const AttentionInner attention_inner;
}

}  // namespace quern
