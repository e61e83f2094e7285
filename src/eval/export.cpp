#include "eval/export.h"

#include <algorithm>

#include "base/file.h"
#include "eval/sample.h"

namespace quern {
namespace {

constexpr uint16_t kStart = 0x4000, kTarget = 0x8000;

Json message_json(const Message& message) {
  Json object = Json::object();
  object["role"] = role_name(message.role);
  object["content"] = message.content;
  if (!message.tool_calls.empty()) {
    Json calls = Json::array();
    for (const ToolCall& call : message.tool_calls) {
      Json function = Json::object(), one = Json::object();
      function["name"] = call.name;
      function["arguments"] = call.arguments;
      one["type"] = "function";
      one["function"] = std::move(function);
      calls.push_back(std::move(one));
    }
    object["tool_calls"] = std::move(calls);
  }
  return object;
}

ToolEpisode episode_at(const ExportRequest& request, int64_t index) {
  return make_episode(request.suite, request.split, request.length, Random::mix(request.seed) + static_cast<uint64_t>(index));
}

}  // namespace

Result<void> export_jsonl(const ExportRequest& request, const std::filesystem::path& out) {
  QUERN_ASSIGN(AtomicFile file, AtomicFile::create(out));
  for (int64_t i = 0; i < request.episodes; ++i) {
    const ToolEpisode episode = episode_at(request, i);
    Json line = Json::object(), messages = Json::array();
    line["kind"] = episode.kind;
    for (const Message& message : episode.conversation.messages) messages.push_back(message_json(message));
    line["messages"] = std::move(messages);
    line["tools"] = Json(episode.conversation.tools);
    QUERN_ASSIGN(const Prompt prompt, render(episode.conversation, request.format));
    line["text"] = prompt_text(prompt);
    QUERN_TRY(file.write(line.dump() + "\n"));
    if (request.on_progress) request.on_progress(i + 1, request.episodes);
  }
  return file.commit();
}

Result<std::vector<uint16_t>> packed_ids(const ToolEpisode& episode, const Tokenizer& tokenizer, ChatFormat format) {
  if (!has_turn_tokens(tokenizer) || tokenizer.vocab_size() > kStart)
    return fail(Errc::unsupported, "the tokenizer has no <|im_start|> and <|im_end|>, or more than 16,384 ids");
  QUERN_ASSIGN(const Prompt prompt, render(episode.conversation, format));
  QUERN_ASSIGN(const std::vector<int32_t> ids, tokenizer.encode(prompt));
  QUERN_ASSIGN(const std::vector<bool> spoken, spoken_by_assistant(ids, tokenizer));
  std::vector<uint16_t> packed(ids.begin(), ids.end());
  packed.front() |= kStart;
  for (size_t i = 0; i < ids.size(); ++i)
    if (spoken[i]) packed[i] |= kTarget;
  return packed;
}

Result<void> export_windows(const ExportRequest& request, const Tokenizer& tokenizer, int64_t window,
                            const std::filesystem::path& out) {
  const int32_t filler = tokenizer.find_added("<|endoftext|>");
  if (filler < 0) return fail(Errc::unsupported, "the tokenizer has no <|endoftext|>");
  QUERN_ASSIGN(AtomicFile file, AtomicFile::create(out));
  constexpr size_t kWaiting = 12;  // episodes that did not fit the window at hand; the first of them opens the next
  std::vector<std::vector<uint16_t>> waiting;
  const auto size = static_cast<size_t>(window);
  int64_t index = 0;
  for (int64_t done = 0; done < request.episodes; ++done) {
    std::vector<uint16_t> tokens;
    const auto fits = [&](const std::vector<uint16_t>& episode) { return tokens.size() + episode.size() <= size; };
    for (;;) {
      const auto kept = std::find_if(waiting.begin(), waiting.end(), fits);
      std::vector<uint16_t> next;
      if (kept != waiting.end()) {
        next = std::move(*kept);
        waiting.erase(kept);
      } else if (waiting.size() >= kWaiting) {
        break;
      } else {
        QUERN_ASSIGN(next, packed_ids(episode_at(request, index++), tokenizer, request.format));
        if (next.size() > size) continue;  // longer than a window: not for training
        if (!fits(next)) {
          waiting.push_back(std::move(next));
          continue;
        }
      }
      tokens.insert(tokens.end(), next.begin(), next.end());
    }
    tokens.resize(size, static_cast<uint16_t>(filler));
    QUERN_TRY(file.write({reinterpret_cast<const char*>(tokens.data()), tokens.size() * 2}));
    if (request.on_progress) request.on_progress(done + 1, request.episodes);
  }
  return file.commit();
}

}  // namespace quern
