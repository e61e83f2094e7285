#include "runtime/session_store.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <set>

#include "runtime/footprint.h"
#include "runtime/session_impl.h"

namespace quern {
namespace {

constexpr std::string_view kEnding = ".session";

size_t file_bytes(const std::filesystem::path& path) {
  std::error_code error;
  const auto bytes = std::filesystem::file_size(path, error);
  return error ? 0 : static_cast<size_t>(bytes);
}

}  // namespace

struct SessionStore::Impl {
  const Engine& engine;
  SessionStoreOptions options;

  struct Slot {
    Session session;
    bool busy = false;
    int64_t tokens = 0;
    Footprint::Item weight;  // when it was last at rest
  };
  mutable std::mutex mutex;
  std::map<std::string, std::shared_ptr<Slot>> live;
  Footprint memory;

  Impl(const Engine& e, SessionStoreOptions o) : engine(e), options(std::move(o)) {}

  std::filesystem::path path(const std::string& name) const { return options.folder / (name + std::string(kEnding)); }
  bool saved(const std::string& name) const {
    std::error_code error;
    return !options.folder.empty() && std::filesystem::is_regular_file(path(name), error);
  }

  // All with mutex held.

  void weigh(Slot& slot) {
    memory.remove(slot.weight);
    slot.weight = {};
    const Timeline& timeline = slot.session.impl().timeline;
    const Footprint::Item item = Footprint::item(timeline.state());
    slot.weight.own = item.own;
    std::set<std::pair<const std::byte*, size_t>> pages(item.pages.begin(), item.pages.end());
    for (const auto& earlier : timeline.checkpoints()) {  // shared with forks, as a page is, and with pages of the session's own
      const Footprint::Item part = Footprint::item(*earlier);
      pages.emplace(reinterpret_cast<const std::byte*>(earlier.get()), part.own);
      pages.insert(part.pages.begin(), part.pages.end());
    }
    slot.weight.pages.assign(pages.begin(), pages.end());
    memory.add(slot.weight);
    slot.tokens = static_cast<int64_t>(slot.session.tokens().size());
  }
  void erase(std::map<std::string, std::shared_ptr<Slot>>::iterator at) {
    memory.remove(at->second->weight);
    live.erase(at);
  }

  Result<std::shared_ptr<Slot>> at_rest(const std::string& name) {
    QUERN_TRY(check_name(name));
    const auto found = live.find(name);
    if (found == live.end()) return fail(Errc::not_found, "there is no live session '{}'", name);
    if (found->second->busy) return fail(Errc::busy, "session '{}' is in use", name);
    return found->second;
  }
  Result<void> room_for(const std::string& name) const {
    QUERN_TRY(check_name(name));
    if (live.contains(name)) return fail(Errc::invalid_argument, "there is a session '{}' already", name);
    if (live.size() >= options.count)
      return fail(Errc::out_of_range, "there are {} live sessions, as many as there may be: remove one first", live.size());
    if (memory.bytes() >= options.memory)
      return fail(Errc::out_of_range, "live sessions take {} bytes, as many as they may: remove one first", memory.bytes());
    return {};
  }
  SessionInfo enter(const std::string& name, Session session) {
    auto slot = std::make_shared<Slot>(Slot{.session = std::move(session)});
    weigh(*slot);
    live.emplace(name, std::move(slot));
    return info(name);
  }
  SessionInfo info(const std::string& name) const {
    SessionInfo info{.name = name};
    if (const auto at = live.find(name); at != live.end()) {
      const Slot& slot = *at->second;
      info.live = true;
      info.busy = slot.busy;
      info.tokens = slot.tokens;
      info.bytes = slot.weight.own + memory.own_pages(slot.weight);
    }
    info.saved = saved(name);
    if (info.saved) info.bytes_saved = file_bytes(path(name));
    return info;
  }
  size_t bytes_saved() const {
    size_t bytes = 0;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(options.folder, error))
      if (entry.path().extension() == kEnding) bytes += file_bytes(entry.path());
    return bytes;
  }
};

SessionStore::SessionStore(const Engine& engine, SessionStoreOptions options)
    : impl_(std::make_shared<Impl>(engine, std::move(options))) {}
SessionStore::~SessionStore() = default;

Result<void> SessionStore::check_name(std::string_view name) {
  constexpr size_t kLongest = 64;
  const auto fits = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  };
  if (name.empty() || name.size() > kLongest || name[0] == '.' || !std::all_of(name.begin(), name.end(), fits))
    return fail(Errc::invalid_argument, "a session's name: expected 1 to {} of A-Z a-z 0-9 . _ -, the first no dot", kLongest);
  return {};
}

Result<SessionInfo> SessionStore::create(const std::string& name) {
  const std::lock_guard lock(impl_->mutex);
  QUERN_TRY(impl_->room_for(name));
  return impl_->enter(name, Session(impl_->engine));
}

Result<SessionInfo> SessionStore::fork(const std::string& from, const std::string& name) {
  const std::lock_guard lock(impl_->mutex);
  QUERN_ASSIGN(const auto slot, impl_->at_rest(from));
  QUERN_TRY(impl_->room_for(name));
  return impl_->enter(name, slot->session.fork_settled());
}

Result<SessionInfo> SessionStore::save(const std::string& name) {
  if (impl_->options.folder.empty()) return fail(Errc::unsupported, "sessions are not saved here: there is no folder for them");
  {
    QUERN_ASSIGN(const std::shared_ptr<Session> session, hold(name));
    std::error_code error;
    std::filesystem::create_directories(impl_->options.folder, error);
    if (error) return fail(Errc::io, "{}: {}", impl_->options.folder.string(), error.message());
    std::filesystem::permissions(impl_->options.folder, std::filesystem::perms::owner_all, error);  // conversations are in it
    const size_t all = impl_->bytes_saved(), old = file_bytes(impl_->path(name));
    if (all - std::min(all, old) >= impl_->options.disk)
      return fail(Errc::out_of_range, "saved sessions take {} bytes, as many as they may: remove one first", all);
    QUERN_TRY(session->save(impl_->path(name)));
  }
  return info(name);
}

Result<SessionInfo> SessionStore::restore(const std::string& name) {
  {
    const std::lock_guard lock(impl_->mutex);
    QUERN_TRY(impl_->room_for(name));
    if (!impl_->saved(name)) return fail(Errc::not_found, "there is no saved session '{}'", name);
  }
  QUERN_ASSIGN(Session session, Session::restore(impl_->engine, impl_->path(name)));
  const std::lock_guard lock(impl_->mutex);
  QUERN_TRY(impl_->room_for(name));  // somebody may have been faster
  return impl_->enter(name, std::move(session));
}

Result<void> SessionStore::remove(const std::string& name) {
  const std::lock_guard lock(impl_->mutex);
  QUERN_TRY(check_name(name));
  const auto at = impl_->live.find(name);
  const bool saved = impl_->saved(name);
  if (at == impl_->live.end() && !saved) return fail(Errc::not_found, "there is no session '{}'", name);
  if (at != impl_->live.end()) {
    QUERN_TRY(impl_->at_rest(name));
    impl_->erase(at);
  }
  std::error_code error;
  if (saved && !std::filesystem::remove(impl_->path(name), error))
    return fail(Errc::io, "{}: {}", impl_->path(name).string(), error.message());
  return {};
}

Result<SessionInfo> SessionStore::info(const std::string& name) const {
  const std::lock_guard lock(impl_->mutex);
  QUERN_TRY(check_name(name));
  if (!impl_->live.contains(name) && !impl_->saved(name)) return fail(Errc::not_found, "there is no session '{}'", name);
  return impl_->info(name);
}

std::vector<SessionInfo> SessionStore::list() const {
  const std::lock_guard lock(impl_->mutex);
  std::map<std::string, SessionInfo> all;
  for (const auto& [name, slot] : impl_->live) all[name] = impl_->info(name);
  std::error_code error;
  if (!impl_->options.folder.empty())
    for (const auto& entry : std::filesystem::directory_iterator(impl_->options.folder, error))
      if (const std::string name = entry.path().stem().string();
          entry.path().extension() == kEnding && check_name(name) && !all.contains(name))
        all[name] = impl_->info(name);
  std::vector<SessionInfo> list;
  for (auto& [name, info] : all) list.push_back(std::move(info));
  return list;
}

Result<std::shared_ptr<Session>> SessionStore::hold(const std::string& name) {
  const std::lock_guard lock(impl_->mutex);
  QUERN_ASSIGN(const auto slot, impl_->at_rest(name));
  slot->busy = true;
  return std::shared_ptr<Session>(&slot->session, [store = impl_, slot](Session*) {
    const std::lock_guard back(store->mutex);
    store->weigh(*slot);
    slot->busy = false;
  });
}

Result<SessionInfo> SessionStore::append(const std::string& name, std::span<const int32_t> tokens) {
  {
    QUERN_ASSIGN(const std::shared_ptr<Session> session, hold(name));
    if (!tokens.empty()) {
      std::vector<int32_t> prompt = session->tokens();
      prompt.insert(prompt.end(), tokens.begin(), tokens.end());
      QUERN_TRY(session->generate({.prompt = std::move(prompt), .max_tokens = 0}));
    }
  }
  return info(name);
}

}  // namespace quern
