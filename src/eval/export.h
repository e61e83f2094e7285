// Episodes written out for training: as JSON lines with the rendered prompt, or packed as windows of token ids.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "eval/episodes.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace quern {

struct ExportRequest {
  Suite suite = Suite::mixed;
  Split split = Split::training;
  int64_t episodes = 1000;
  int64_t length = 25;
  uint64_t seed = 1;
  ChatFormat format = ChatFormat::instruct;  // what calls are written in; the episodes are the same in all
  std::function<void(int64_t done, int64_t total)> on_progress;
};

// One line an episode: {"kind": …, "messages": […], "tools": […], "text": the rendered prompt}.
Result<void> export_jsonl(const ExportRequest& request, const std::filesystem::path& out);

// Windows of `window` token ids, little-endian u16, no header: whole episodes one after the other, the rest filled with <|endoftext|>.
// Bit 15 marks what a model is to learn: what the assistant says, with its end of turn; bit 14 the first token of an
// episode. `request.episodes` counts windows here.
// Errors: a vocabulary beyond 14 bits or without the family's special tokens.
Result<void> export_windows(const ExportRequest& request, const Tokenizer& tokenizer, int64_t window,
                            const std::filesystem::path& out);

// The ids of one episode with bits 14 and 15 as above.
Result<std::vector<uint16_t>> packed_ids(const ToolEpisode& episode, const Tokenizer& tokenizer, ChatFormat format);

}  // namespace quern
