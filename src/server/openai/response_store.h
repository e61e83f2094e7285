// Answers of /v1/responses that later requests may go on from, in one SQLite file. An answer keeps what it added to its conversation and
// which answer it went on from, so a conversation is stored once, however many answers it has. The longest unused make room; what others
// go on from stays as their past, although nobody finds it by its id any more.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/sqlite.h"

namespace quern {

// What was said in a conversation, in order; items are shared with the conversations that go on from it.
using ResponseItems = std::vector<std::shared_ptr<const Json>>;

struct StoredResponse {
  std::string client;    // whose it is: nobody else finds it
  std::string previous;  // the id of the answer it goes on from; empty: none
  ResponseItems before;  // what was said up to there, which may be forgotten by now
  ResponseItems input;   // of this request
  ResponseItems output;
  Json response;  // as it was answered
};

// From any thread. Errors besides those that are named: io, malformed (the file).
class ResponseStore {
 public:
  struct Bounds {
    size_t bytes = size_t{256} << 20;  // of all that is kept
    double unused_s = 30 * 86400;      // after which an answer is forgotten
  };
  // Makes the file and its folder where they are not there; an empty path: in memory. malformed: another program's database; unsupported:
  // a newer quern's.
  static Result<std::unique_ptr<ResponseStore>> open(const std::filesystem::path& file, Bounds bounds);

  // One that is too large for the bounds is not kept.
  Result<void> put(const std::string& id, const StoredResponse& response);
  // Of one of the client's answers, else not_found: as it was answered; what its request said; all that was said up to its end.
  Result<Json> response(const std::string& id, const std::string& client);
  Result<ResponseItems> input(const std::string& id, const std::string& client);
  Result<ResponseItems> conversation(const std::string& id, const std::string& client);
  Result<void> remove(const std::string& id, const std::string& client);
  // An item of one of the client's answers or of its request, by its own id; nullptr: there is none.
  Result<std::shared_ptr<const Json>> find_item(const std::string& id, const std::string& client);
  Result<int64_t> bytes();

 private:
  ResponseStore(SqlDatabase database, Bounds bounds) : database_(std::move(database)), bounds_(bounds) {}
  Result<int64_t> number_of(const std::string& id, const std::string& client);
  Result<int64_t> find(const std::string& id, const std::string& client);
  Result<int64_t> insert(std::string_view id, const std::string& client, int64_t parent);
  Result<void> add_part(int64_t number, int64_t kind, int64_t position, const Json& json);
  Result<void> add_items(int64_t number, int64_t kind, const ResponseItems& items);
  Result<void> forget(int64_t number);
  Result<void> forget_while(std::string_view which, double bound);
  Result<ResponseItems> items_of(int64_t number, std::string_view sql);

  std::mutex mutex_;
  SqlDatabase database_;
  const Bounds bounds_;
};

}  // namespace quern
