#include "server/openai/response_store.h"

#include "server/shape.h"

namespace quern {
namespace {

// With what it goes on from, although that may be shared: whoever goes on from the last answer needs none of those before it.
size_t bytes_of(const StoredResponse& response) {
  size_t bytes = 1024 + response.response.dump(Json::Spacing::compact).size();
  for (const ResponseItems* items : {&response.before, &response.input, &response.output})
    for (const auto& item : *items) bytes += 256 + item->dump(Json::Spacing::compact).size();
  return 2 * bytes;  // as values in memory
}

}  // namespace

ResponseItems StoredResponse::all() const {
  ResponseItems all = before;
  all.insert(all.end(), input.begin(), input.end());
  all.insert(all.end(), output.begin(), output.end());
  return all;
}

void ResponseStore::drop(std::list<Entry>::iterator entry) {
  bytes_ -= entry->bytes;
  by_id_.erase(entry->id);
  entries_.erase(entry);
}

void ResponseStore::put(const std::string& id, StoredResponse response) {
  const size_t bytes = bytes_of(response);
  if (bytes > max_bytes_) return;
  const std::lock_guard lock(mutex_);
  if (const auto before = by_id_.find(id); before != by_id_.end()) drop(before->second);
  entries_.push_front({id, std::make_shared<const StoredResponse>(std::move(response)), bytes});
  by_id_[id] = entries_.begin();
  bytes_ += bytes;
  while (bytes_ > max_bytes_) drop(std::prev(entries_.end()));
}

std::shared_ptr<const StoredResponse> ResponseStore::find(const std::string& id, const std::string& client) {
  const std::lock_guard lock(mutex_);
  const auto found = by_id_.find(id);
  if (found == by_id_.end() || found->second->response->client != client) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->response;
}

bool ResponseStore::remove(const std::string& id, const std::string& client) {
  const std::lock_guard lock(mutex_);
  const auto found = by_id_.find(id);
  if (found == by_id_.end() || found->second->response->client != client) return false;
  drop(found->second);
  return true;
}

std::shared_ptr<const Json> ResponseStore::find_item(const std::string& id, const std::string& client) {
  const std::lock_guard lock(mutex_);
  for (const Entry& entry : entries_) {
    if (entry.response->client != client) continue;
    for (const ResponseItems* items : {&entry.response->output, &entry.response->input})
      for (const auto& item : *items)
        if (text_of(*item, "id") == id) return item;
  }
  return nullptr;
}

size_t ResponseStore::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

}  // namespace quern
