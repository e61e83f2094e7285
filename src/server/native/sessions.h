// The live sessions of all models: a SessionStore for each model that has some, and beside each session what the store does not know:
// every token it stands for, and its tools. A model with live sessions stays loaded.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/json.h"
#include "runtime/session_store.h"
#include "server/models.h"

namespace quern {

// What a session stands for. The state may be a token short: the last one that was drawn is read with what follows.
struct SessionPast {
  std::vector<int32_t> tokens;
  std::vector<Json> tools;  // that were offered when it began

  Json json() const;
  static Result<SessionPast> from_json(const Json& json);
};

// A session in one's hands: nobody else has it until this is gone.
struct HeldSession {
  std::string id;
  std::shared_ptr<ServedModel> model;
  SessionPast past;
  std::shared_ptr<Session> session;
};

struct SessionView {
  SessionInfo info;
  std::string model;
  int64_t tokens = 0;  // it stands for

  Json json() const;
};

class Sessions {
 public:
  // `folder`: where saved sessions are, by model; empty: they cannot be saved. memory: of each model's.
  explicit Sessions(std::filesystem::path folder, size_t memory = size_t{1} << 30) : folder_(std::move(folder)), memory_(memory) {}

  // Errors of all: SessionStore's; not_found names the id.
  Result<SessionView> create(const std::shared_ptr<ServedModel>& model, const std::string& id);
  Result<SessionView> fork(const std::string& from, const std::string& id);
  Result<SessionView> save(const std::string& id);
  Result<SessionView> restore(const std::shared_ptr<ServedModel>& model, const std::string& id);
  Result<void> remove(const std::string& id);
  Result<SessionView> view(const std::string& id);
  std::vector<SessionView> list();
  // Those of one model, saved ones too.
  Result<std::vector<SessionView>> list(const std::shared_ptr<ServedModel>& model);

  Result<HeldSession> hold(const std::string& id);
  // Gives a session back, which stands for this from now on.
  SessionView give_back(HeldSession held);

 private:
  struct Shelf {
    std::shared_ptr<ServedModel> model;
    std::unique_ptr<SessionStore> store;       // destroyed before the model
    std::map<std::string, SessionPast> pasts;  // of live sessions, by id
  };
  Result<Shelf*> shelf_of(const std::string& id);  // that has the live session
  Result<Shelf*> open(const std::shared_ptr<ServedModel>& model);
  void close_if_empty(const std::string& model);
  std::filesystem::path notes_file(const std::string& model, const std::string& id) const;
  static SessionView view_of(const Shelf& shelf, SessionInfo info);

  const std::filesystem::path folder_;
  const size_t memory_;
  std::mutex mutex_;
  std::map<std::string, Shelf> shelves_;  // by the model's name
};

}  // namespace quern
