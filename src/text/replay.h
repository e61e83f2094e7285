// ReplayStore: what this engine generated, to be found again when a client sends it back in its own words. Clients trim text, drop
// reasoning, and write the arguments of calls in their own spacing, order and number format; rendered from that, a prompt would part from
// what the engine holds at the first difference. A message that says what a generated one said is rendered as the very tokens it was.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "text/chat_template.h"
#include "text/conversation.h"
#include "text/tokenizer.h"

namespace quern {

// May be used from several threads.
class ReplayStore {
 public:
  // bytes: of the turns it keeps; the longest unused goes first.
  ReplayStore(const Tokenizer& tokenizer, ChatFormat format, size_t bytes = size_t{64} << 20);
  ~ReplayStore();

  // A turn that was generated from `before`, all of it, without the end-of-turn token. Turns that no client could send back are not
  // kept: those that say nothing, whose calls are no calls, that hold control tokens; nor should a caller give those that it showed only
  // a part of (cut at a stop string).
  void remember(const Conversation& before, std::span<const int32_t> generated);

  // Sets verbatim and verbatim_ids of the assistant messages that were generated here, where they are not set. Two messages say the same
  // when their text agrees (spaces at its ends apart, and between text and calls) and they call the same tools with equal arguments; ids
  // of calls do not matter, nor does reasoning that was left out, but other reasoning makes another message. Of several turns that said the
  // same, the one that followed the same messages is meant, else the latest, unless it had reasoning that the message lacks: that may be
  // somebody else's. Returns how many were recognised.
  size_t recall(Conversation& conversation);

  // Keeps the turns in a file from now on: takes those that are there, then adds each new one as it comes, so that a killed process loses
  // none that it had written. What a process left half written at the end is dropped. Errors: io, malformed, mismatch (another
  // tokenizer or format); with the last two what could be read is taken, and the file begun anew without the rest; with io nothing is
  // kept in it.
  Result<void> keep_in(const std::filesystem::path& path);

  struct Stats {
    int64_t turns = 0;
    size_t bytes = 0;
    int64_t asked = 0, recognised = 0;  // assistant messages in recall
  };
  Stats stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace quern
