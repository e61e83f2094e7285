// /v1/completions.
#include "base/utf8.h"
#include "server/openai/chat_answer.h"
#include "server/openai/completion_request.h"
#include "server/openai/handlers.h"

namespace quern {
namespace {

// One of the answers to one of the prompts.
struct Completion {
  std::string text;
  std::vector<TokenLogprobs> logprobs;
  TurnEnd end;
};

// {"tokens", "token_logprobs", "top_logprobs", "text_offset"}, of tokens whose text begins at `offset`, which moves on.
Json completion_logprobs(const std::vector<TokenLogprobs>& tokens, size_t& offset) {
  Json texts = Json::array(), own = Json::array(), tops = Json::array(), offsets = Json::array();
  for (const TokenLogprobs& token : tokens) {
    texts.push_back(replace_invalid_utf8(token.bytes));
    own.push_back(finite_logprob(token.logprob));
    Json top = Json::object();
    for (const TokenLogprob& other : token.top) top[replace_invalid_utf8(other.bytes)] = finite_logprob(other.logprob);
    tops.push_back(std::move(top));
    offsets.push_back(static_cast<int64_t>(offset));
    offset += token.bytes.size();
  }
  return Json::Object{{"tokens", std::move(texts)},
                      {"token_logprobs", std::move(own)},
                      {"top_logprobs", std::move(tops)},
                      {"text_offset", std::move(offsets)}};
}

class Completions {
 public:
  Completions(OpenAiRun& run, const CompletionRequest& asked, OpenAiHead head) : run_(run), asked_(asked), head_(std::move(head)) {}

  // begun: a turn for each prompt.
  void stream(std::vector<TurnStream>& turns) {
    for (size_t i = 0; i < turns.size(); ++i)
      if (!stream_one(i, turns[i])) return;
    if (asked_.include_usage) {
      Json last = head_.json("text_completion");
      last["choices"] = Json::array();
      last["usage"] = usage_.json();
      run_.events().json(last);
    }
    run_.events().last_data("[DONE]");
  }

  void answer(std::vector<TurnStream>& turns) {
    Json choices = Json::array();
    for (size_t i = 0; i < turns.size(); ++i) {
      std::vector<Completion> made(static_cast<size_t>(asked_.turn.choices));
      while (auto update = turns[i].next()) {
        if (const auto failed = failure_of(*update)) return run_.fail(*failed);
        Completion& own = made[static_cast<size_t>(turns[i].choice())];
        if (auto* text = std::get_if<TurnText>(&*update)) {
          own.text += text->text;
          own.logprobs.insert(own.logprobs.end(), text->logprobs.begin(), text->logprobs.end());
        }
        if (const auto* end = std::get_if<TurnEnd>(&*update)) own.end = *end, note(*end, turns[i].choice());
      }
      for (size_t n = 0; n < made.size(); ++n) {
        size_t offset = 0;
        choices.push_back(choice(number(i, static_cast<int64_t>(n)), echoed(i) + made[n].text, made[n].logprobs, offset,
                                 finish_reason(made[n].end)));
      }
    }
    Json answer = head_.json("text_completion");
    answer["choices"] = std::move(choices);
    answer["usage"] = usage_.json();
    answer["timings"] = usage_.timings();
    run_.response().json(200, answer);
  }

 private:
  int64_t number(size_t prompt, int64_t choice) const { return static_cast<int64_t>(prompt) * asked_.turn.choices + choice; }
  void note(const TurnEnd& end, int64_t choice) {
    run_.note(end);
    usage_.add(end, choice == 0);
  }
  std::string echoed(size_t prompt) const {
    const auto* text = std::get_if<std::string>(&asked_.prompts[prompt]);
    return asked_.echo && text ? *text : "";
  }
  Json choice(int64_t number, std::string text, const std::vector<TokenLogprobs>& tokens, size_t& offset, Json finish) const {
    Json logprobs;
    if (asked_.turn.top_logprobs) logprobs = completion_logprobs(tokens, offset);
    return Json::Object{
        {"index", number}, {"text", std::move(text)}, {"logprobs", std::move(logprobs)}, {"finish_reason", std::move(finish)}};
  }
  bool say(Json choice) {
    Json chunk = head_.json("text_completion");
    chunk["choices"] = Json::Array{std::move(choice)};
    if (asked_.include_usage) chunk["usage"] = nullptr;
    return run_.events().json(chunk);
  }

  bool stream_one(size_t prompt, TurnStream& turn) {
    const auto count = static_cast<size_t>(asked_.turn.choices);
    std::vector<size_t> offsets(count, 0);
    std::vector<std::string> first(count, echoed(prompt));
    while (auto update = turn.next()) {
      if (const auto failed = failure_of(*update)) {
        run_.fail(*failed);
        return false;
      }
      if (!tell_progress(run_, *update)) return false;
      const auto own = static_cast<size_t>(turn.choice());
      const auto* text = std::get_if<TurnText>(&*update);
      const auto* end = std::get_if<TurnEnd>(&*update);
      if (!text && !end) continue;
      if (end) note(*end, turn.choice());
      if (!say(choice(number(prompt, turn.choice()), std::exchange(first[own], {}) + (text ? text->text : ""),
                      text ? text->logprobs : std::vector<TokenLogprobs>(), offsets[own],
                      end ? Json(finish_reason(*end)) : Json())))
        return false;
    }
    return true;
  }

  OpenAiRun& run_;
  const CompletionRequest& asked_;
  OpenAiHead head_;
  OpenAiUsage usage_;
};

// The prompt that echo repeats, where it came as tokens: as text.
Result<void> decode_for_echo(const Engine& engine, CompletionRequest& asked) {
  for (TextOrTokens& prompt : asked.prompts) {
    const auto* tokens = std::get_if<std::vector<int32_t>>(&prompt);
    if (!asked.echo || !tokens || !engine.tokenizer()) continue;
    auto text = engine.tokenizer()->decode(*tokens);
    if (!text) return with_context(text.error(), "prompt");
    prompt = std::move(*text);
  }
  return {};
}

}  // namespace

void handle_completion(ServerContext& context, const ServerRequest& request, ServerResponse& response) {
  OpenAiRun run(context, request, response);
  const auto body = request_json(request, context);
  if (!body) return run.fail(openai_error(body.error()));
  auto asked = parse_completion_request(*body);
  if (!asked) return run.fail(openai_error(asked.error()));
  if (asked->stream) run.stream(error_as_data);
  const auto model = run.acquire(asked->model);
  if (!model) return;
  asked->turn.sampling = asked->sampling.over(model->engine->default_sampling());
  std::vector<TurnStream> turns;
  for (const TextOrTokens& prompt : asked->prompts) {
    TurnRequest turn = asked->turn;
    std::visit([&](const auto& own) { turn.prompt = own; }, prompt);
    auto begun = run.begin(model, std::move(turn));
    if (!begun) return;
    turns.push_back(std::move(*begun));
  }
  if (const auto decoded = decode_for_echo(*model->engine, *asked); !decoded) return run.fail(openai_error(decoded.error()));
  std::vector<TurnStream*> watched;
  for (TurnStream& turn : turns) watched.push_back(&turn);
  const ClientWatch watch(response, std::move(watched));
  Completions completions(run, *asked, OpenAiHead("cmpl-", asked->model.empty() ? model->entry.name : asked->model, context));
  if (asked->stream)
    completions.stream(turns);
  else
    completions.answer(turns);
}

}  // namespace quern
