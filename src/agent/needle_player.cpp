#include "agent/needle_player.h"

#include "agent/engine_model.h"

namespace quern {
namespace {

struct Found {
  bool found = false;
  NeedleTask task;
  std::string reply;
};

Result<Found> look_for(const Engine& engine, const NeedleRequest& request, NeedleWork& work) {
  Found out;
  QUERN_ASSIGN(out.task, make_needle(request, *engine.tokenizer()));
  QUERN_ASSIGN(const auto model,
               EngineModel::create(engine, {.sampling = {}, .constrained = request.kind == NeedleKind::tools, .choice = {}}));
  const auto go_on = [](std::string_view) { return true; };
  QUERN_ASSIGN(Reply reply, model->reply(out.task.conversation, needle_room(request.kind, request.format), go_on));
  work.prompt_tokens += reply.prompt_tokens;
  work.tokens += reply.tokens;
  work.prefill_s += reply.prefill_s;
  work.decode_s += reply.decode_s;
  out.found = has_needle(out.task, request.kind, reply.text, request.format);
  out.reply = std::move(reply.text);
  return out;
}

uint64_t seed_of(uint64_t seed, int64_t trial) { return Random::mix(seed) + static_cast<uint64_t>(trial); }

}  // namespace

int64_t needle_room(NeedleKind kind, ChatFormat format) {
  return format == ChatFormat::thinking ? 2048 : kind == NeedleKind::tools ? 256 : 64;
}

Result<NeedleKind> choose_needle_kind(const Engine& engine, Split split) {
  if (!engine.tokenizer()) return fail(Errc::not_found, "the model has no tokenizer: it cannot read a question");
  if (engine.tokenizer()->find_added("<tool_call>") < 0) return NeedleKind::prose;
  NeedleWork ignored;
  int64_t found = 0;
  for (int64_t trial = 0; trial < 3; ++trial) {
    const NeedleRequest request{
        .kind = NeedleKind::prose, .seed = seed_of(0, trial), .split = split, .format = engine.chat_format()};
    QUERN_ASSIGN(const Found one, look_for(engine, request, ignored));
    found += one.found ? 1 : 0;
  }
  return found >= 2 ? NeedleKind::prose : NeedleKind::tools;
}

Result<NeedleGrid> find_needles(const Engine& engine, const NeedlePlan& plan, const NeedleEvents& events, NeedleWork& work) {
  if (!engine.tokenizer()) return fail(Errc::not_found, "the model has no tokenizer: it cannot read a question");
  const int64_t room = needle_room(plan.kind, engine.chat_format());
  double total = 0, done = 0;
  for (const int64_t length : plan.lengths) {
    if (length + room > engine.context())
      return fail(Errc::out_of_range,
                  "a length of {} tokens: with {} for the answer it is past the context of {} (--context, --yarn)", length, room,
                  engine.context());
    total += static_cast<double>(length * plan.trials) * static_cast<double>(plan.depths.size());
  }
  NeedleGrid grid(plan.kind, plan.lengths, plan.depths);
  for (size_t l = 0; l < plan.lengths.size(); ++l)
    for (size_t d = 0; d < plan.depths.size(); ++d)
      for (int64_t trial = 0; trial < plan.trials; ++trial) {
        const NeedleRequest request{.kind = plan.kind,
                                    .length = plan.lengths[l],
                                    .depth = plan.depths[d],
                                    .seed = seed_of(plan.seed, trial),
                                    .split = plan.split,
                                    .format = engine.chat_format()};
        QUERN_ASSIGN(const Found one, look_for(engine, request, work));
        NeedleCell& cell = grid.at(d, l);
        cell.trials += 1;
        cell.found += one.found ? 1 : 0;
        cell.tokens += one.task.tokens;
        if (!one.found && events.missed) events.missed(request, one.task, one.reply);
        done += static_cast<double>(plan.lengths[l]);
        if (events.progress) events.progress(done, total);
      }
  return grid;
}

}  // namespace quern
