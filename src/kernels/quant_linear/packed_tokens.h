// PackedTokens: int8 activations (quant/activations.h) for the versions that multiply strips as they read them. Packed once for all matrices
// that read them, and for all parts of a matrix. A run of tokens, those that go to the same matrices, is cut into tiles that share a
// reading of a strip; what a block of 32 columns needs of a tile of n tokens lies in one piece:
//   codes i8 [n][32]    scales f32 [n]    sums [n]: of the block's codes, f32; for E2M1 -12 times that, i32
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "kernels/quant_linear/input_form.h"
#include "quant/activations.h"
#include "tensor/tensor.h"

namespace quern {

inline constexpr int64_t kTokenTile = 12;

struct TokenTile {
  int64_t first = 0, count = 0;
};
constexpr int64_t token_tiles(int64_t tokens) { return (tokens + kTokenTile - 1) / kTokenTile; }
// Tile i of the run [first, first + tokens): all are nearly equal, because a small one waits for its own sums.
constexpr TokenTile token_tile(int64_t first, int64_t tokens, int64_t i) {
  const int64_t tiles = token_tiles(tokens), begin = i * tokens / tiles;
  return {first + begin, (i + 1) * tokens / tiles - begin};
}

// Grows only. Distinct tiles may be packed by distinct threads, and be read by any.
class PackedTokens {
 public:
  // Bytes of a token in a block.
  static constexpr int64_t kBytes = kActivationBlock + 8;
  // What is added to E2M1 codes, doubled, so that they have no sign.
  static constexpr int kE2m1Offset = 12;

  void resize(int64_t tokens, int64_t cols);
  int64_t tokens() const { return tokens_; }
  int64_t cols() const { return cols_; }
  int64_t blocks() const { return blocks_; }

  // rows: of the tile's tokens, codes in natural order. form: one of the two with tiles.
  void pack(InputForm form, TokenTile tile, const Int8Row* rows);

  const std::byte* tile(int64_t first) const { return reinterpret_cast<const std::byte*>(data_ + first * blocks_ * (kBytes / 4)); }
  // Whether a tile's scales are finite and so near to 1 that powers of two may be multiplied to them by addition to their exponents:
  // kMostExponent of both together stay in range. A scale of 0, all of whose codes are 0, is stored as 1.
  bool has_plain_scales(int64_t first) const { return plain_[static_cast<size_t>(first)] != 0; }
  static constexpr int kMostExponent = 60;

 private:
  int64_t tokens_ = 0, cols_ = 0, blocks_ = 0;
  Buffer memory_;
  float* data_ = nullptr;
  std::vector<uint8_t> plain_;  // of each tile, at its first token
};

}  // namespace quern
