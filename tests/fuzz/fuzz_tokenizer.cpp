// tokenizer.json, a zero byte, and a text to encode with it: ids are inside the vocabulary; where the byte alphabet is complete, decoding
// gives the text back but for its normalisation.
#include "fuzz.h"
#include "text/tokenizer.h"

using namespace quern;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view all = fuzz::text_of(data, size);
  const size_t split = std::min(all.find('\0'), all.size());
  const auto tokenizer = Tokenizer::parse(all.substr(0, split), "fuzz");
  if (!fuzz::succeeded(tokenizer)) return 0;
  const std::string_view text = all.substr(std::min(split + 1, all.size()));
  for (const bool trusted : {false, true}) {
    const auto ids = tokenizer->encode(text, trusted);
    if (!fuzz::succeeded(ids)) continue;
    for (const int32_t id : *ids) {
      QUERN_CHECK(id >= 0 && id < tokenizer->vocab_size(), id);
      QUERN_CHECK(trusted || !tokenizer->is_special(id) || !tokenizer->token_bytes(id).empty(), id);
    }
    QUERN_CHECK(fuzz::succeeded(tokenizer->decode(*ids)));
    StreamDecoder stream(*tokenizer);
    std::string streamed;
    for (const int32_t id : *ids) streamed += stream.push(id);
    streamed += stream.finish();
    QUERN_CHECK(streamed == *tokenizer->decode(*ids), streamed);
  }
  return 0;
}
