#include "server/native/session_text.h"

#include <algorithm>

#include "base/check.h"

namespace quern {
namespace {

constexpr std::string_view kTurnBegin = "<|im_start|>", kTurnEnd = "<|im_end|>";

Result<const Tokenizer*> tokenizer_of(const Engine& engine) {
  if (!engine.tokenizer()) return fail(Errc::not_found, "the model has no tokenizer: sessions take tokens only");
  return engine.tokenizer();
}

bool ends_with(std::span<const int32_t> all, std::span<const int32_t> tail) {
  return all.size() >= tail.size() && std::equal(tail.begin(), tail.end(), all.end() - std::ssize(tail));
}

// The messages as they are rendered in the middle of a conversation: what rendering them behind another one adds.
Result<Prompt> rendered_behind(const Engine& engine, const Conversation& more) {
  Conversation before;
  before.messages.push_back({.role = Role::user, .content = "."});
  before.add_generation_prompt = false;
  Conversation all = before;
  all.messages.insert(all.messages.end(), more.messages.begin(), more.messages.end());
  all.add_generation_prompt = more.add_generation_prompt;
  QUERN_ASSIGN(const Prompt head, render(before, engine.chat_format()));
  QUERN_ASSIGN(Prompt prompt, render(all, engine.chat_format()));
  size_t left = prompt_text(head).size();
  QUERN_CHECK(prompt_text(prompt).starts_with(prompt_text(head)));
  for (PromptPiece& piece : prompt) {
    const size_t cut = std::min(left, piece.text.size());
    piece.text.erase(0, cut);
    left -= cut;
  }
  std::erase_if(prompt, [](const PromptPiece& piece) { return piece.text.empty(); });
  return prompt;
}

}  // namespace

Result<std::vector<int32_t>> tokens_behind(const Engine& engine, std::span<const int32_t> held, const Conversation& more) {
  QUERN_ASSIGN(const Tokenizer* const tokenizer, tokenizer_of(engine));
  if (held.empty()) {
    QUERN_ASSIGN(const Prompt prompt, render(more, engine.chat_format()));
    return tokenizer->encode(prompt);
  }
  const int32_t begin = tokenizer->find_added(kTurnBegin), end = tokenizer->find_added(kTurnEnd);
  if (begin < 0 || end < 0 || std::find(held.begin(), held.end(), begin) == held.end())
    return fail(Errc::mismatch, "messages: what the session holds is no conversation; it goes on with text or tokens");
  QUERN_ASSIGN(Prompt prompt, rendered_behind(engine, more));
  QUERN_ASSIGN(const std::vector<int32_t> line, tokenizer->encode("\n", false));
  std::vector<int32_t> whole_end{end};
  whole_end.insert(whole_end.end(), line.begin(), line.end());
  if (held.back() == end)
    prompt.insert(prompt.begin(), {"\n", true});
  else if (!ends_with(held, whole_end))
    prompt.insert(prompt.begin(), {std::string(kTurnEnd) + "\n", true});
  return tokenizer->encode(prompt);
}

Result<std::vector<int32_t>> tokens_of(const Engine& engine, std::string_view text) {
  QUERN_ASSIGN(const Tokenizer* const tokenizer, tokenizer_of(engine));
  return tokenizer->encode(text, false);
}

}  // namespace quern
