// Answers of /v1/responses that later requests may go on from: in memory, the longest unused make room.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/json.h"

namespace quern {

// What was said in a conversation, in order; items are shared with the conversations that go on from it.
using ResponseItems = std::vector<std::shared_ptr<const Json>>;

struct StoredResponse {
  std::string client;    // whose it is: nobody else finds it
  Json response;         // as it was answered
  ResponseItems before;  // what the conversation held in front of this request
  ResponseItems input;   // of this request
  ResponseItems output;

  ResponseItems all() const;  // of them, in order
};

// From any thread.
class ResponseStore {
 public:
  explicit ResponseStore(size_t max_bytes = size_t{256} << 20) : max_bytes_(max_bytes) {}

  void put(const std::string& id, StoredResponse response);
  std::shared_ptr<const StoredResponse> find(const std::string& id, const std::string& client);
  bool remove(const std::string& id, const std::string& client);
  // An item of one of the client's conversations, by its own id; nullptr: there is none.
  std::shared_ptr<const Json> find_item(const std::string& id, const std::string& client);
  size_t bytes() const;

 private:
  struct Entry {
    std::string id;
    std::shared_ptr<const StoredResponse> response;
    size_t bytes;
  };
  void drop(std::list<Entry>::iterator entry);

  const size_t max_bytes_;
  mutable std::mutex mutex_;
  std::list<Entry> entries_;  // the last used first
  std::unordered_map<std::string, std::list<Entry>::iterator> by_id_;
  size_t bytes_ = 0;
};

}  // namespace quern
