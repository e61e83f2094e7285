// What a session reads next: messages, text or tokens as the tokens that go behind those it holds.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "runtime/engine.h"

namespace quern {

// The whole conversation where nothing is held; behind a conversation, what ends the turn that is open, and the new messages alone: what is
// held stays as it was read and written, reasoning included. `answer`: the assistant's turn is opened. Errors: mismatch when what is
// held is no conversation; not_found without a tokenizer.
Result<std::vector<int32_t>> tokens_behind(const Engine& engine, std::span<const int32_t> held, const Conversation& more);
// Plain text: no special tokens are found in it.
Result<std::vector<int32_t>> tokens_of(const Engine& engine, std::string_view text);

}  // namespace quern
