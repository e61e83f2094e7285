#include "server/turn_queue.h"

#include <chrono>

namespace quern {
namespace {

size_t bytes_of(const std::vector<TokenLogprobs>& logprobs) {
  size_t bytes = 0;
  for (const TokenLogprobs& token : logprobs) bytes += sizeof(token) + token.top.size() * sizeof(TokenLogprob);
  return bytes;
}

size_t bytes_of(const TurnUpdate& update) {
  size_t bytes = sizeof(TurnQueue::Item);
  if (const auto* text = std::get_if<TurnText>(&update)) bytes += text->text.size() + bytes_of(text->logprobs);
  if (const auto* thinking = std::get_if<TurnThinking>(&update)) bytes += thinking->text.size();
  if (const auto* arguments = std::get_if<TurnArguments>(&update)) bytes += arguments->json.size();
  return bytes;
}

bool is_last(const TurnUpdate& update) {
  return std::holds_alternative<TurnEnd>(update) || std::holds_alternative<TurnFailed>(update);
}

}  // namespace

// Makes one update of the last one and this one, where a reader cannot tell the difference.
bool TurnQueue::merge(int64_t choice, TurnUpdate& update) {
  if (items_.empty() || items_.back().choice != choice || items_.back().update.index() != update.index()) return false;
  TurnUpdate& last = items_.back().update;
  if (std::holds_alternative<TurnReading>(update)) {
    last = std::move(update);
    return true;
  }
  if (auto* text = std::get_if<TurnText>(&update)) {
    auto& before = std::get<TurnText>(last);
    before.text += text->text;
    bytes_ += text->text.size() + bytes_of(text->logprobs);
    before.logprobs.insert(before.logprobs.end(), std::make_move_iterator(text->logprobs.begin()),
                           std::make_move_iterator(text->logprobs.end()));
    return true;
  }
  if (auto* thinking = std::get_if<TurnThinking>(&update)) {
    std::get<TurnThinking>(last).text += thinking->text;
    bytes_ += thinking->text.size();
    return true;
  }
  auto* arguments = std::get_if<TurnArguments>(&update);
  if (!arguments || std::get<TurnArguments>(last).index != arguments->index) return false;
  std::get<TurnArguments>(last).json += arguments->json;
  bytes_ += arguments->json.size();
  return true;
}

bool TurnQueue::put(int64_t choice, TurnUpdate update) {
  {
    const std::lock_guard lock(mutex_);
    const bool last = is_last(update);
    if (last) --open_;
    if (closed_ || (behind_ && !last)) return false;
    if (behind_) update = TurnFailed{{Errc::busy, "the answer was not read as fast as it was written: it is given up"}};
    if (!merge(choice, update)) {
      bytes_ += bytes_of(update);
      items_.push_back({choice, std::move(update)});
    }
    behind_ = behind_ || bytes_ > max_bytes_;
  }
  filled_.notify_one();
  return true;
}

std::optional<TurnQueue::Item> TurnQueue::take(double idle_s) {
  std::unique_lock lock(mutex_);
  const auto ready = [&] { return !items_.empty() || open_ <= 0; };
  if (idle_s <= 0)
    filled_.wait(lock, ready);
  else if (!filled_.wait_for(lock, std::chrono::duration<double>(idle_s), ready))
    return Item{0, TurnIdle{}};
  if (items_.empty()) return std::nullopt;
  Item item = std::move(items_.front());
  items_.pop_front();
  bytes_ -= std::min(bytes_, bytes_of(item.update));
  return item;
}

void TurnQueue::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  items_.clear();
  bytes_ = 0;
}

}  // namespace quern
