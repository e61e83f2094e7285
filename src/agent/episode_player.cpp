#include "agent/episode_player.h"

#include <algorithm>

namespace quern {
namespace {

constexpr int64_t kMaxAnswerTokens = 2048;

// Plays one episode, in two lives of the model where the options say so.
class Player {
 public:
  Player(const Engine& engine, const PlayOptions& options, PlayWork& work) : engine_(engine), options_(options), work_(work) {}

  Result<EpisodeRecord> play(const ToolEpisode& episode) {
    QUERN_TRY(begin());
    return play_episode(episode, [this](const Conversation& conversation) { return reply(conversation); }, model_->format());
  }

 private:
  Result<void> begin() {
    QUERN_ASSIGN(model_, EngineModel::create(engine_, {.constrained = options_.constrained, .choice = options_.choice}));
    return {};
  }

  Result<void> begin_again() {
    QUERN_TRY(model_->save_state(options_.state_file));
    model_.reset();
    QUERN_TRY(begin());
    return model_->restore_state(options_.state_file);
  }

  bool is_time(const Conversation& conversation) const {
    return !resumed_ && options_.resume_at &&
           std::count_if(conversation.messages.begin(), conversation.messages.end(),
                         [](const Message& message) { return message.role == Role::tool; }) >= *options_.resume_at;
  }

  Result<std::string> reply(const Conversation& conversation) {
    const bool resumes = is_time(conversation);
    if (resumes) QUERN_TRY(begin_again());
    auto replied = model_->reply(conversation, kMaxAnswerTokens, [](std::string_view) { return true; });
    if (!replied && replied.error().code == Errc::out_of_range)  // a constraint's limit: not the model's failure
      return fail(Errc::unsupported, "{}", replied.error().message);
    QUERN_ASSIGN(Reply reply, std::move(replied));
    work_.tokens += reply.tokens;
    work_.forced_tokens += reply.forced_tokens;
    work_.decode_s += reply.decode_s;
    work_.constrain_s += reply.constrain_s;
    if (resumes) {
      resumed_ = true;
      ++work_.resumed;
      work_.resumed_prompt_tokens += reply.prompt_tokens;
      work_.resumed_read_tokens += reply.prompt_tokens - reply.reused_tokens;
    }
    // What is cut may end inside a call, which is none: it ends the episode, as it ends a run.
    if (reply.finish == FinishReason::context)
      return fail(Errc::out_of_range, "a conversation that fills the context of {} tokens", engine_.context());
    if (reply.finish == FinishReason::length)
      return fail(Errc::out_of_range, "an answer that reached the budget of {} tokens", kMaxAnswerTokens);
    return std::move(reply.text);
  }

  const Engine& engine_;
  const PlayOptions& options_;
  PlayWork& work_;
  std::unique_ptr<EngineModel> model_;
  bool resumed_ = false;
};

}  // namespace

Result<EpisodeRecord> play_episode(const Engine& engine, const ToolEpisode& episode, const PlayOptions& options, PlayWork& work) {
  return Player(engine, options, work).play(episode);
}

}  // namespace quern
