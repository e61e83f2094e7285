#include "server/page/served_chat_model.h"

namespace quern {
namespace {

constexpr double kLook = 0.1;  // seconds between two looks at whether somebody still waits

}  // namespace

ServedChatModel::ServedChatModel(std::shared_ptr<ServedModel> model, TurnRequest turn, Watcher watcher)
    : model_(std::move(model)), turn_(std::move(turn)), watcher_(std::move(watcher)) {
  turn_.undivided = true;
}

TurnRequest ServedChatModel::request_for(const Conversation& conversation) const {
  TurnRequest request = turn_;
  request.schema = conversation.answer_schema;
  request.prompt = conversation;
  return request;
}

Result<int64_t> ServedChatModel::count_tokens(const Conversation& conversation) const {
  QUERN_ASSIGN(const std::vector<int32_t> tokens, turn_prompt(*model_, request_for(conversation)));
  return static_cast<int64_t>(tokens.size());
}

Result<Reply> ServedChatModel::reply(const Conversation& conversation, int64_t max_tokens,
                                     const std::function<bool(std::string_view)>& on_token) {
  TurnRequest request = request_for(conversation);
  request.max_tokens = max_tokens;
  Reply reply;
  const auto prompt = turn_prompt(*model_, request);
  if (prompt && static_cast<int64_t>(prompt->size()) >= context()) {
    reply.prompt_tokens = static_cast<int64_t>(prompt->size());
    reply.finish = FinishReason::context;
    return reply;
  }
  QUERN_ASSIGN(TurnStream stream, begin_turn(model_, std::move(request)));
  while (const auto update = stream.next(kLook)) {
    std::string_view said;
    if (const auto* text = std::get_if<TurnText>(&*update)) {
      reply.text += text->text;
      said = text->text;
    } else if (const auto* reading = std::get_if<TurnReading>(&*update)) {
      watcher_.on_reading(reading->done, reading->total);
    } else if (const auto* disk = std::get_if<TurnFromDisk>(&*update)) {
      watcher_.on_disk(disk->weights);
    } else if (const auto* call = std::get_if<TurnCall>(&*update)) {
      watcher_.on_call(call->name);
    } else if (const auto* arguments = std::get_if<TurnArguments>(&*update)) {
      watcher_.on_arguments(arguments->json);
    } else if (const auto* failed = std::get_if<TurnFailed>(&*update)) {
      return tl::unexpected(failed->error);
    } else if (const auto* end = std::get_if<TurnEnd>(&*update)) {
      reply.finish = end->finish;
      reply.prompt_tokens = end->prompt_tokens;
      reply.reused_tokens = end->reused_tokens;
      reply.tokens = end->tokens;
      reply.prefill_s = end->prefill_s;
      reply.decode_s = end->decode_s;
      break;
    }
    if (!on_token(said)) stream.cancel();
  }
  return reply;
}

}  // namespace quern
