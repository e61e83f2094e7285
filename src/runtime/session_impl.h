// What a Session is made of; for runtime/.
#pragma once

#include <optional>
#include <span>

#include "runtime/decoding.h"
#include "runtime/engine_impl.h"
#include "runtime/timeline.h"

namespace quern {

struct Session::Impl {
  const Engine& owner;
  const Engine::Impl& engine;
  Timeline timeline;
  std::optional<uint64_t> drawn_to = std::nullopt;  // the sampler's state after the last generation

  // Makes the timeline a prefix of prompt that ends before its last token, as long as the state allows; returns its length.
  Result<int64_t> align(std::span<const int32_t> prompt);
  // When the prompt has been read: the next turn may render this one differently, but its prompt stays a prefix.
  void mark_prompt() { timeline.checkpoint("prompt"); }

  Result<Generation> generate(const GenerateRequest& request);
  Result<void> decode(Decoding& decoding);
  Result<Generation> embed(const GenerateRequest& request);
};

}  // namespace quern
