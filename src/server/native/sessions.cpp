#include "server/native/sessions.h"

#include <algorithm>

#include "base/file.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostNotes = size_t{64} << 20;  // bytes of a file beside a saved session

}  // namespace

Json SessionPast::json() const {
  Json::Array ids;
  for (const int32_t id : tokens) ids.emplace_back(int64_t{id});
  return Json::Object{{"tokens", std::move(ids)}, {"tools", Json::Array(tools)}};
}

Result<SessionPast> SessionPast::from_json(const Json& json) {
  SessionPast past;
  const Json* tokens = json.find("tokens");
  const Json* tools = json.find("tools");
  if (!tokens || !tokens->is_array() || !tools || !tools->is_array()) return fail(Errc::malformed, "no session's notes");
  for (const Json& token : tokens->as_array()) {
    const auto id = token.is_number() ? token.to_int64() : Result<int64_t>(fail(Errc::malformed, "not a token"));
    if (!id || *id < 0 || *id > INT32_MAX) return fail(Errc::malformed, "no session's notes: {} is no token", token.dump());
    past.tokens.push_back(static_cast<int32_t>(*id));
  }
  past.tools = tools->as_array();
  return past;
}

Json SessionView::json() const {
  return Json::Object{{"id", info.name},
                      {"object", "session"},
                      {"model", model},
                      {"tokens", tokens},
                      {"live", info.live},
                      {"saved", info.saved},
                      {"busy", info.busy},
                      {"bytes", static_cast<uint64_t>(info.bytes)},
                      {"bytes_saved", static_cast<uint64_t>(info.bytes_saved)}};
}

SessionView Sessions::view_of(const Shelf& shelf, SessionInfo info) {
  const auto past = shelf.pasts.find(info.name);
  const int64_t tokens = past == shelf.pasts.end() ? info.tokens : std::ssize(past->second.tokens);
  return {.info = std::move(info), .model = shelf.model->entry.name, .tokens = tokens};
}

fs::path Sessions::notes_file(const std::string& model, const std::string& id) const {
  return folder_ / model_folder_name(model) / "notes" / (id + ".json");
}

Result<Sessions::Shelf*> Sessions::shelf_of(const std::string& id) {
  for (auto& [name, shelf] : shelves_)
    if (shelf.pasts.count(id)) return &shelf;
  return fail(Errc::not_found, "session {}: there is none", id.substr(0, 80));
}

Result<Sessions::Shelf*> Sessions::open(const std::shared_ptr<ServedModel>& model) {
  const std::string& name = model->entry.name;
  if (const auto at = shelves_.find(name); at != shelves_.end()) return &at->second;
  SessionStoreOptions options;
  options.memory = memory_;
  if (!folder_.empty()) {
    options.folder = folder_ / model_folder_name(name) / "states";
    for (const fs::path& folder : {options.folder, notes_file(name, "x").parent_path()}) QUERN_TRY(make_private_folders(folder));
  }
  return &shelves_.emplace(name, Shelf{model, std::make_unique<SessionStore>(*model->engine, options), {}}).first->second;
}

void Sessions::close_if_empty(const std::string& model) {
  if (const auto at = shelves_.find(model); at != shelves_.end() && at->second.pasts.empty()) shelves_.erase(at);
}

Result<SessionView> Sessions::create(const std::shared_ptr<ServedModel>& model, const std::string& id) {
  const std::lock_guard lock(mutex_);
  if (shelf_of(id)) return fail(Errc::invalid_argument, "session {}: it is there already", id.substr(0, 80));
  QUERN_ASSIGN(Shelf* const shelf, open(model));
  auto info = shelf->store->create(id);
  if (!info) {
    close_if_empty(model->entry.name);
    return tl::unexpected(info.error());
  }
  shelf->pasts[id] = {};
  return view_of(*shelf, std::move(*info));
}

Result<SessionView> Sessions::fork(const std::string& from, const std::string& id) {
  const std::lock_guard lock(mutex_);
  if (shelf_of(id)) return fail(Errc::invalid_argument, "session {}: it is there already", id.substr(0, 80));
  QUERN_ASSIGN(Shelf* const shelf, shelf_of(from));
  QUERN_ASSIGN(SessionInfo info, shelf->store->fork(from, id));
  shelf->pasts[id] = shelf->pasts[from];
  return view_of(*shelf, std::move(info));
}

Result<SessionView> Sessions::save(const std::string& id) {
  const std::lock_guard lock(mutex_);
  if (folder_.empty()) return fail(Errc::unsupported, "sessions are not saved by this server: it has no folder for them");
  QUERN_ASSIGN(Shelf* const shelf, shelf_of(id));
  QUERN_ASSIGN(SessionInfo info, shelf->store->save(id));
  QUERN_TRY(write_file(notes_file(shelf->model->entry.name, id), shelf->pasts[id].json().dump(Json::Spacing::compact)));
  return view_of(*shelf, std::move(info));
}

Result<SessionView> Sessions::restore(const std::shared_ptr<ServedModel>& model, const std::string& id) {
  const std::lock_guard lock(mutex_);
  QUERN_TRY(SessionStore::check_name(id));
  if (folder_.empty()) return fail(Errc::unsupported, "sessions are not saved by this server: it has no folder for them");
  if (shelf_of(id)) return fail(Errc::invalid_argument, "session {}: it is there already", id);
  QUERN_ASSIGN(Shelf* const shelf, open(model));
  const auto restored = [&]() -> Result<SessionView> {
    QUERN_ASSIGN(SessionInfo info, shelf->store->restore(id));
    const fs::path file = notes_file(model->entry.name, id);
    const auto read_notes = [&]() -> Result<SessionPast> {
      QUERN_ASSIGN(const std::string text, read_file(file, kMostNotes));
      QUERN_ASSIGN(const Json json, Json::parse(text, file.string()));
      return SessionPast::from_json(json);
    };
    auto past = read_notes();
    if (!past) {  // the state alone knows less: what it holds, and no tools
      QUERN_ASSIGN(const auto session, shelf->store->hold(id));
      past = SessionPast{.tokens = session->tokens(), .tools = {}};
    }
    shelf->pasts[id] = std::move(*past);
    return view_of(*shelf, std::move(info));
  }();
  if (!restored) close_if_empty(model->entry.name);
  return restored;
}

Result<void> Sessions::remove(const std::string& id) {
  const std::lock_guard lock(mutex_);
  QUERN_ASSIGN(Shelf* const shelf, shelf_of(id));
  QUERN_TRY(shelf->store->remove(id));
  const std::string model = shelf->model->entry.name;
  if (!folder_.empty()) {
    std::error_code ignored;
    fs::remove(notes_file(model, id), ignored);
  }
  shelf->pasts.erase(id);
  close_if_empty(model);
  return {};
}

Result<SessionView> Sessions::view(const std::string& id) {
  const std::lock_guard lock(mutex_);
  QUERN_ASSIGN(Shelf* const shelf, shelf_of(id));
  QUERN_ASSIGN(SessionInfo info, shelf->store->info(id));
  return view_of(*shelf, std::move(info));
}

std::vector<SessionView> Sessions::list() {
  const std::lock_guard lock(mutex_);
  std::vector<SessionView> all;
  for (const auto& [name, shelf] : shelves_)
    for (SessionInfo& info : shelf.store->list()) all.push_back(view_of(shelf, std::move(info)));
  return all;
}

Result<std::vector<SessionView>> Sessions::list(const std::shared_ptr<ServedModel>& model) {
  const std::lock_guard lock(mutex_);
  QUERN_ASSIGN(Shelf* const shelf, open(model));
  std::vector<SessionView> all;
  for (SessionInfo& info : shelf->store->list()) all.push_back(view_of(*shelf, std::move(info)));
  close_if_empty(model->entry.name);
  return all;
}

Result<HeldSession> Sessions::hold(const std::string& id) {
  const std::lock_guard lock(mutex_);
  QUERN_ASSIGN(Shelf* const shelf, shelf_of(id));
  QUERN_ASSIGN(auto session, shelf->store->hold(id));
  return HeldSession{.id = id, .model = shelf->model, .past = shelf->pasts[id], .session = std::move(session)};
}

SessionView Sessions::give_back(HeldSession held) {
  const std::lock_guard lock(mutex_);
  held.session.reset();
  const auto shelf = shelf_of(held.id);
  if (!shelf) return {};
  (*shelf)->pasts[held.id] = std::move(held.past);
  auto info = (*shelf)->store->info(held.id);
  return info ? view_of(**shelf, std::move(*info)) : SessionView{};
}

}  // namespace quern
