// What sequences take, and how much of the machine's memory they may have.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/engine.h"

namespace quern {

// Bytes of a sequence of so many tokens: its recurrent states, whatever its length, and whole KV pages.
size_t sequence_bytes(const Engine& engine, int64_t tokens);
size_t constant_bytes(const Engine& engine);  // the first part of it

// Bytes of activations in a pass over `rows` tokens, `logits` of which want logits.
size_t workspace_bytes(const Engine& engine, int64_t rows, int64_t logits);

// What sequences may take together, of `available` bytes: less the weights, which are mapped and should stay in memory, `beside` (what
// others of this process are going to take), and an eighth for everything else. At least a quarter of what is available without
// `beside`, for weights larger than the memory, of which parts are read again and again anyway.
size_t sequences_limit(const Engine& engine, size_t available, size_t beside);

}  // namespace quern
