#include "agent/episode_player.h"

namespace quern {
namespace {

constexpr int64_t kMaxAnswerTokens = 2048;

}  // namespace

Result<EpisodeRecord> play_episode(const Engine& engine, const ToolEpisode& episode, const PlayOptions& options, PlayWork& work) {
  EngineModelOptions model_options{.constrained = options.constrained, .choice = options.choice};
  QUERN_ASSIGN(const auto model, EngineModel::create(engine, std::move(model_options)));
  const auto reply_to = [&](const Conversation& conversation) -> Result<std::string> {
    auto replied = model->reply(conversation, kMaxAnswerTokens, [](std::string_view) { return true; });
    if (!replied && replied.error().code == Errc::out_of_range)  // a constraint's limit: not the model's failure
      return fail(Errc::unsupported, "{}", replied.error().message);
    QUERN_ASSIGN(Reply reply, std::move(replied));
    work.tokens += reply.tokens;
    work.forced_tokens += reply.forced_tokens;
    work.decode_s += reply.decode_s;
    work.constrain_s += reply.constrain_s;
    // What is cut may end inside a call, which is none: it ends the episode, as it ends a run.
    if (reply.finish == FinishReason::context)
      return fail(Errc::out_of_range, "a conversation that fills the context of {} tokens", engine.context());
    if (reply.finish == FinishReason::length)
      return fail(Errc::out_of_range, "an answer that reached the budget of {} tokens", kMaxAnswerTokens);
    return std::move(reply.text);
  };
  return play_episode(episode, reply_to, model->format());
}

}  // namespace quern
