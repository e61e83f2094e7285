// Attention by AMX's tiles.
#include "kernels/attention/exp2_terms.h"
#include "kernels/attention/inner.h"

#if defined(__x86_64__)
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/avx512.h"
#include "kernels/scratch.h"
#include "kernels/target.h"
#include "tensor/dtype.h"

QUERN_TARGET_BEGIN("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,amx-tile,amx-bf16,amx-int8")

#include "kernels/attention/tile_attention.h"
#include "kernels/tiles/amx.h"

namespace quern::amx {

const AttentionTiles attention_tiles{TileAttention<AmxTiles>::attention, TileAttention<AmxTiles>::block,
                                     TileAttention<AmxTiles>::join};

}  // namespace quern::amx

QUERN_TARGET_END

#else

namespace quern::amx {
const AttentionTiles attention_tiles{};  // no processor here has tiles: nobody asks
}  // namespace quern::amx

#endif
