#include "runtime/thought.h"

namespace quern {

Thought::Thought(const Tokenizer* tokenizer, std::span<const int32_t> prompt) : tokenizer_(tokenizer) {
  if (!tokenizer) return;
  begin_ = tokenizer->find_added("<think>"), end_ = tokenizer->find_added("</think>");
  if (begin_ < 0 || end_ < 0) return;
  const int32_t turn = tokenizer->find_added("<|im_start|>");
  for (auto id = prompt.rbegin(); id != prompt.rend() && *id != end_ && *id != turn; ++id)
    if (*id == begin_) open_ = true;
}

void Thought::push(int32_t id) {
  if (begin_ < 0 || end_ < 0) return;
  if (first_ && id == begin_) open_ = true;  // anywhere else it is talk about thinking
  first_ = false;
  if (!open_) return;
  ++tokens_;
  open_ = id != end_;
}

Thought::Closing Thought::closing(int32_t last) const {
  Closing closing{.before = {}, .tag = end_, .behind = {}};
  const auto ids = [&](std::string_view text) {
    auto encoded = tokenizer_->encode(text, /*trusted=*/false);
    return encoded ? std::move(*encoded) : std::vector<int32_t>();
  };
  if (last != begin_ && !tokenizer_->token_bytes(last).ends_with('\n')) closing.before = ids("\n");
  closing.behind = ids("\n\n");
  return closing;
}

}  // namespace quern
