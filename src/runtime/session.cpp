#include <algorithm>
#include <charconv>

#include "base/clock.h"
#include "runtime/hidden_mean.h"
#include "runtime/session_impl.h"

namespace quern {
namespace {}  // namespace

Session::Session(const Engine& engine) : impl_(new Impl{engine, engine.impl(), Timeline(*engine.impl().runner)}) {}
Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;
Session Session::fork() const { return Session(std::make_unique<Impl>(*impl_)); }
Session Session::fork_settled() const {
  return Session(std::make_unique<Impl>(Impl{impl_->owner, impl_->engine, impl_->timeline.settled(), impl_->drawn_to}));
}
const std::vector<int32_t>& Session::tokens() const { return impl_->timeline.tokens(); }

Result<void> Session::save(const std::filesystem::path& path) const {
  Timeline::Notes notes;
  if (impl_->drawn_to) notes["sampler"] = fmt::format("{:016x}", *impl_->drawn_to);
  return impl_->timeline.save(path, std::move(notes));
}

Result<Session> Session::restore(const Engine& engine, const std::filesystem::path& path) {
  Timeline::Notes notes;
  QUERN_ASSIGN(Timeline timeline, Timeline::restore(*engine.impl().runner, path, notes));
  auto impl = std::make_unique<Impl>(Impl{engine, engine.impl(), std::move(timeline)});
  if (const auto note = notes.find("sampler"); note != notes.end()) {
    uint64_t state = 0;
    const char *first = note->second.data(), *last = first + note->second.size();
    const auto [end, status] = std::from_chars(first, last, state, 16);
    if (status != std::errc() || end != last)
      return fail(Errc::malformed, "{}: sampler {}: expected a hexadecimal number", path.string(), note->second.substr(0, 40));
    impl->drawn_to = state;
  }
  return Session(std::move(impl));
}

Result<Generation> Session::generate(const GenerateRequest& request) { return impl_->generate(request); }

Result<Generation> Session::Impl::generate(const GenerateRequest& request) {
  QUERN_TRY(check_request(owner, request));
  if (request.embed) return embed(request);
  const auto start = Clock::now();
  QUERN_ASSIGN(const int64_t reused, align(request.prompt));
  const auto prompt_tokens = static_cast<int64_t>(request.prompt.size());
  QUERN_TRY(timeline.feed(std::span(request.prompt).subspan(static_cast<size_t>(reused)), Batch::Logits::last,
                          [&](int64_t first, std::span<const int32_t> part) {
                            return !request.on_prefill ||
                                   request.on_prefill(first + static_cast<int64_t>(part.size()), prompt_tokens);
                          }));
  Decoding decoding(owner, request, request.draw_on ? drawn_to : std::nullopt);
  Generation& out = decoding.result();
  out.prompt_tokens = prompt_tokens, out.reused_tokens = reused, out.prefill_s = seconds_since(start);
  if (timeline.tokens().size() < request.prompt.size()) {
    decoding.cancel();
    return std::move(out);
  }
  mark_prompt();
  const auto decode_start = Clock::now();
  const auto decoded = decode(decoding);
  drawn_to = decoding.drawn_to();
  QUERN_TRY(decoded);
  out.decode_s = seconds_since(decode_start);
  return std::move(out);
}

Result<void> Session::Impl::decode(Decoding& decoding) {
  decoding.begin();
  while (!decoding.over()) {
    QUERN_TRY(timeline.feed(decoding.waiting()));
    QUERN_TRY(decoding.step(timeline.logits()));
  }
  return {};
}

Result<Generation> Session::Impl::embed(const GenerateRequest& request) {
  if (!timeline.tokens().empty()) return fail(Errc::invalid_argument, "an embedding needs a session that holds no tokens");
  Generation out;
  out.prompt_tokens = static_cast<int64_t>(request.prompt.size());
  const auto start = Clock::now();
  HiddenMean mean;
  QUERN_TRY(timeline.feed(request.prompt, Batch::Logits::none, [&](int64_t first, std::span<const int32_t> part) {
    mean.add(engine.workspace->final_hidden);
    return !request.on_prefill || request.on_prefill(first + static_cast<int64_t>(part.size()), out.prompt_tokens);
  }));
  out.prefill_s = seconds_since(start);
  if (timeline.tokens().size() < request.prompt.size())
    out.finish = FinishReason::cancelled;
  else
    out.embedding = mean.mean();
  return out;
}

Result<int64_t> Session::Impl::align(std::span<const int32_t> prompt) {
  const auto& held = timeline.tokens();
  const auto most = std::min(held.size(), prompt.size() - 1);  // the last token is fed always: its logits are wanted
  const auto common = static_cast<int64_t>(
      std::mismatch(held.begin(), held.begin() + static_cast<std::ptrdiff_t>(most), prompt.begin()).first - held.begin());
  const int64_t kept = timeline.reachable(common);
  QUERN_TRY(timeline.rollback(kept));
  return kept;
}

}  // namespace quern
