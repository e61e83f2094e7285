#include "kernels/quant_linear/packed_tokens.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace quern {

void PackedTokens::resize(int64_t tokens, int64_t cols) {
  QUERN_CHECK(tokens >= 0 && cols >= 0, tokens, cols);
  tokens_ = tokens, cols_ = cols, blocks_ = (cols + kActivationBlock - 1) / kActivationBlock;
  data_ = memory_.tensor(tokens, blocks_ * (kBytes / 4)).data;
  plain_.resize(std::max(plain_.size(), static_cast<size_t>(tokens)));
}

void PackedTokens::pack(InputForm form, TokenTile tile, const Int8Row* rows) {
  const int64_t n = tile.count;
  QUERN_CHECK(is_tiles(form) && 0 < n && n <= kTokenTile && 0 <= tile.first && tile.first + n <= tokens_, n, tile.first, tokens_);
  const bool e2m1 = form == InputForm::e2m1_tiles;
  const float most = std::ldexp(1.0f, kMostExponent), least = 1 / most;
  bool plain = true;
  auto* to = reinterpret_cast<char*>(data_ + tile.first * blocks_ * (kBytes / 4));
  for (int64_t block = 0; block < blocks_; ++block, to += n * kBytes) {
    char *scales = to + n * kActivationBlock, *sums = scales + 4 * n;
    for (int64_t t = 0; t < n; ++t) {
      const Int8Row& row = rows[t];
      std::memcpy(to + t * kActivationBlock, row.codes + block * kActivationBlock, kActivationBlock);
      float scale = row.scales[block];
      const int32_t sum = row.sums[2 * block] + row.sums[2 * block + 1], shifted = -kE2m1Offset * sum;
      const auto plain_sum = static_cast<float>(sum);
      if (scale == 0) scale = 1;
      plain = plain && least <= scale && scale <= most;
      std::memcpy(scales + 4 * t, &scale, 4);
      if (e2m1)
        std::memcpy(sums + 4 * t, &shifted, 4);
      else
        std::memcpy(sums + 4 * t, &plain_sum, 4);
    }
  }
  plain_[static_cast<size_t>(tile.first)] = plain;
}

}  // namespace quern
