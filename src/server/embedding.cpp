#include "server/embedding.h"

#include <condition_variable>
#include <mutex>
#include <optional>

#include "server/turn.h"

namespace quern {
namespace {

constexpr size_t kAtOnce = 16;  // in the scheduler's queue, so that one request does not fill it

// What the jobs of one request have come to; shared with them, since they may outlive the request.
struct Progress {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::optional<Result<Generation>>> done;
  size_t open = 0;
  bool gone = false;  // the client
};

Job embedding_job(std::vector<int32_t> tokens, size_t index, const std::string& client, const std::shared_ptr<Progress>& progress) {
  Job job;
  job.request.prompt = std::move(tokens);
  job.request.embed = true;
  job.client = client;
  job.request.on_prefill = [progress](int64_t, int64_t) {
    const std::lock_guard lock(progress->mutex);
    return !progress->gone;
  };
  job.on_end = [progress, index](Result<Generation> made, std::unique_ptr<Matcher>) {
    {
      const std::lock_guard lock(progress->mutex);
      progress->done[index] = std::move(made);
      --progress->open;
    }
    progress->changed.notify_all();
  };
  return job;
}

}  // namespace

Result<Embeddings> embed_texts(const std::shared_ptr<ServedModel>& model,
                               const std::vector<std::variant<std::string, std::vector<int32_t>>>& texts, const std::string& client,
                               ServerResponse& response) {
  std::vector<std::vector<int32_t>> prompts;
  for (size_t i = 0; i < texts.size(); ++i) {
    TurnRequest turn;
    std::visit([&](const auto& text) { turn.prompt = text; }, texts[i]);
    auto tokens = turn_prompt(*model, std::move(turn));
    if (!tokens)
      return texts.size() > 1 ? with_context(tokens.error(), fmt::format("input[{}]", i)) : with_context(tokens.error(), "input");
    prompts.push_back(std::move(*tokens));
  }
  const auto progress = std::make_shared<Progress>();
  progress->done.resize(prompts.size());
  std::vector<Scheduler::Id> jobs;
  const auto give_up = [&] {
    {
      const std::lock_guard lock(progress->mutex);
      progress->gone = true;
    }
    progress->changed.notify_all();
  };
  response.on_closed(give_up);
  struct Unwatch {
    ServerResponse& response;
    ~Unwatch() { response.on_closed(nullptr); }
  } const unwatch{response};
  std::optional<Error> failed;
  for (size_t i = 0; i < prompts.size() && !failed; ++i) {
    {
      std::unique_lock lock(progress->mutex);
      progress->changed.wait(lock, [&] { return progress->open < kAtOnce || progress->gone; });
      if (progress->gone) break;
      ++progress->open;
    }
    auto job = model->scheduler->submit(embedding_job(prompts[i], i, client, progress));
    if (!job) {
      failed = job.error();
      const std::lock_guard lock(progress->mutex);
      --progress->open;
    } else {
      jobs.push_back(*job);
    }
  }
  std::unique_lock lock(progress->mutex);
  if (!failed) progress->changed.wait(lock, [&] { return progress->open == 0 || progress->gone; });
  if (failed || progress->gone) {
    lock.unlock();
    for (const Scheduler::Id job : jobs) model->scheduler->cancel(job);
    if (failed) return tl::unexpected(*failed);
    return fail(Errc::denied, "the client has gone");
  }
  Embeddings made;
  for (size_t i = 0; i < prompts.size(); ++i) {
    Result<Generation>& one = *progress->done[i];
    if (!one) return tl::unexpected(one.error());
    if (one->finish == FinishReason::cancelled) return fail(Errc::busy, "the embedding was cancelled: the server is stopping");
    made.tokens += one->prompt_tokens;
    made.prefill_s += one->prefill_s;
    made.vectors.push_back(std::move(one->embedding));
  }
  return made;
}

}  // namespace quern
