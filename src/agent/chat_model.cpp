#include "agent/chat_model.h"

namespace quern {

Reply reply_of(Generation generation) {
  Reply reply;
  reply.text = std::move(generation.text);
  reply.finish = generation.finish;
  reply.prompt_tokens = generation.prompt_tokens;
  reply.reused_tokens = generation.reused_tokens;
  reply.tokens = static_cast<int64_t>(generation.tokens.size());
  reply.forced_tokens = generation.forced_tokens;
  reply.prefill_s = generation.prefill_s;
  reply.decode_s = generation.decode_s;
  reply.constrain_s = generation.constrain_s;
  return reply;
}

}  // namespace quern
