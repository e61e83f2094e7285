// One thread, the keeper, makes and destroys models, one after the other; everybody else only asks it to, and waits.
#include "server/models.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "base/clock.h"
#include "base/memory.h"
#include "base/system_error.h"

namespace quern {
namespace {

using Seconds = std::chrono::duration<double>;

constexpr size_t kMinStates = size_t{64} << 20;  // below this a model is not worth loading
constexpr auto kProgressEvery = std::chrono::milliseconds(200);

double gigabytes(size_t bytes) { return static_cast<double>(bytes) / (1 << 30); }

struct Slot {
  ModelEntry entry;
  size_t bytes = 0;  // of its files
  ModelState::Status status = ModelState::Status::absent;
  std::shared_ptr<ServedModel> model;
  size_t reserved = 0;  // of the budget, while loading or loaded
  int64_t users = 0, waiting = 0;
  bool leaving = false;  // unload() was called
  std::optional<Seconds> keep;
  Clock::time_point last_use = Clock::now();
  uint64_t attempt = 0;  // of loading it; the last one failed where there is an error
  std::optional<Error> error;

  bool loaded() const { return status == ModelState::Status::loaded; }
  bool idle() const { return loaded() && users == 0 && waiting == 0; }
  // When the keeper should let go of it; nothing: never by itself.
  std::optional<Clock::time_point> leaves_at() const {
    if (!idle()) return {};
    if (leaving) return Clock::time_point::min();
    const Seconds time = keep.value_or(entry.pinned ? Seconds(-1) : entry.keep);
    if (time.count() < 0 || time.count() > 1e9) return {};
    return last_use + std::chrono::duration_cast<Clock::duration>(time);
  }
};

}  // namespace

struct ModelPool::Impl : std::enable_shared_from_this<ModelPool::Impl> {
  Options options;
  size_t budget = 0;

  mutable std::mutex mutex;
  std::condition_variable changed, work;  // for those who wait for a model; for the keeper
  std::vector<Slot> slots;
  bool stopping = false, draining = false;
  std::thread keeper;

  Result<void> set_up();
  const Slot* find(const std::string& name) const;
  Result<Slot*> slot(const std::string& name);
  std::shared_ptr<ServedModel> lend(Slot& slot);
  void event(std::string line) const {
    if (options.on_event) options.on_event(line);
  }

  void keep_house();
  void load(std::unique_lock<std::mutex>& lock, Slot& slot);
  void let_go(std::unique_lock<std::mutex>& lock, Slot& slot, std::string_view why);
  struct Room {
    std::vector<Slot*> victims;  // in the way
    size_t states = 0;
  };
  Result<Room> make_room(const Slot& slot);
  size_t wished_states(const Slot& slot) const;
};

Result<void> ModelPool::Impl::set_up() {
  if (options.models.empty()) return fail(Errc::invalid_argument, "no models to serve");
  std::set<std::string> names;
  for (const ModelEntry& entry : options.models) {
    if (entry.name.empty()) return fail(Errc::invalid_argument, "{}: a model without a name", entry.path.string());
    if (!names.insert(entry.name).second) return fail(Errc::invalid_argument, "{}: two models have this name", entry.name);
  }
  for (const ModelEntry& entry : options.models)
    for (const std::string& alias : entry.aliases)
      if (!names.insert(alias).second)
        return fail(Errc::invalid_argument, "{}: alias {} is another model's name already", entry.name, alias);
  for (const ModelEntry& entry : options.models) {
    Slot slot;
    slot.entry = entry;
    slot.bytes = model_bytes(entry.path);
    slots.push_back(std::move(slot));
  }
  const size_t machine = available_memory();
  budget = options.memory ? options.memory : machine ? machine / 10 * 9 : SIZE_MAX / 2;
  if (!options.load)
    options.load = [this](const ModelEntry& entry, size_t states) { return load_served_model(options, entry, states); };
  keeper = std::thread([this] { keep_house(); });
  return {};
}

const Slot* ModelPool::Impl::find(const std::string& name) const {
  if (name.empty()) return &slots.front();
  for (const Slot& each : slots)
    if (each.entry.name == name || std::count(each.entry.aliases.begin(), each.entry.aliases.end(), name)) return &each;
  // Clients of Ollama's API take the name they were told there to the other APIs.
  constexpr std::string_view tag = ":latest";
  return name.ends_with(tag) && name.size() > tag.size() ? find(name.substr(0, name.size() - tag.size())) : nullptr;
}

Result<Slot*> ModelPool::Impl::slot(const std::string& name) {
  if (const Slot* found = find(name)) return const_cast<Slot*>(found);
  std::string names;
  for (const Slot& each : slots) {
    if (names.size() > 500) {
      names += ", …";
      break;
    }
    names += (names.empty() ? "" : ", ") + each.entry.name;
  }
  return fail(Errc::not_found, "model {}: there is no such model; there are {}", name.substr(0, 100), names);
}

std::shared_ptr<ServedModel> ModelPool::Impl::lend(Slot& slot) {
  ++slot.users;
  return {slot.model.get(), [self = shared_from_this(), &slot, model = slot.model](ServedModel*) mutable {
            model.reset();
            const std::lock_guard lock(self->mutex);
            slot.last_use = Clock::now();
            if (--slot.users == 0) self->work.notify_one();
          }};
}

// What a model is given for states where nobody said: all that is left where it is alone, its share of that where all models have room at the
// same time, and otherwise little enough for others to find room, too.
size_t ModelPool::Impl::wished_states(const Slot& slot) const {
  if (options.scheduler.memory) return options.scheduler.memory + options.cache.memory;
  size_t all = 0;
  for (const Slot& each : slots) all += each.bytes;
  if (all < budget) return std::max(kMinStates, (budget - all) / slots.size());
  return std::min((budget - std::min(budget, slot.bytes)) / 4, std::max(size_t{1} << 30, slot.bytes / 8));
}

Result<ModelPool::Impl::Room> ModelPool::Impl::make_room(const Slot& slot) {
  const size_t needed = slot.bytes + kMinStates;
  size_t used = 0, pinned = 0;
  std::vector<Slot*> idle;
  for (Slot& other : slots) {
    used += other.reserved;
    if (other.entry.pinned)
      pinned += other.reserved;
    else if (other.idle())
      idle.push_back(&other);
  }
  if (needed > budget - std::min(budget, pinned))
    return fail(Errc::out_of_range, "model {}: needs {:.2f} GiB; of the {:.2f} GiB for models, pinned ones hold {:.2f} (--memory)",
                slot.entry.name, gigabytes(needed), gigabytes(budget), gigabytes(pinned));
  std::sort(idle.begin(), idle.end(), [](const Slot* a, const Slot* b) { return a->last_use < b->last_use; });
  Room room;
  for (Slot* victim : idle) {
    if (needed <= budget - std::min(budget, used)) break;
    room.victims.push_back(victim);
    used -= victim->reserved;
  }
  const size_t left = budget - std::min(budget, used);
  if (needed > left)
    return fail(Errc::busy, "model {}: needs {:.2f} GiB beside the models in use, {:.2f} are left; try again later",
                slot.entry.name, gigabytes(needed), gigabytes(left));
  room.states = std::max(kMinStates, std::min(left - slot.bytes, wished_states(slot)));
  return room;
}

void ModelPool::Impl::let_go(std::unique_lock<std::mutex>& lock, Slot& slot, std::string_view why) {
  auto model = std::exchange(slot.model, nullptr);
  slot.status = ModelState::Status::absent;
  slot.leaving = false;
  slot.keep.reset();
  lock.unlock();
  if (model->scheduler && model->cache) model->scheduler->between_steps([&] { model->cache->flush(); });
  model.reset();
  event(fmt::format("model {} unloaded: {}", slot.entry.name, why));
  lock.lock();
  slot.reserved = 0;  // now that its memory is free
}

void ModelPool::Impl::load(std::unique_lock<std::mutex>& lock, Slot& slot) {
  const auto failed = [&](Error error) {
    slot.error = std::move(error);
    slot.status = ModelState::Status::absent;
    slot.reserved = 0;
  };
  const auto room = make_room(slot);
  if (!room) return failed(room.error());
  for (Slot* victim : room->victims)
    if (victim->idle()) let_go(lock, *victim, fmt::format("makes room for {}", slot.entry.name));
  slot.reserved = slot.bytes + room->states;
  lock.unlock();
  const auto start = Clock::now();
  Result<std::shared_ptr<ServedModel>> loaded;
  try {
    loaded = options.load(slot.entry, room->states);
  } catch (const std::exception& e) {  // SystemError: no memory, a file that went away
    loaded = fail(Errc::io, "model {}: {}", slot.entry.name, e.what());
  }
  if (loaded) event(fmt::format("model {} loaded in {:.2f} s", slot.entry.name, Seconds(Clock::now() - start).count()));
  lock.lock();
  if (!loaded) return failed(loaded.error());
  slot.model = std::move(*loaded);
  slot.status = ModelState::Status::loaded;
  slot.last_use = Clock::now();
}

void ModelPool::Impl::keep_house() {
  std::unique_lock lock(mutex);
  while (!stopping) {
    const auto wanted =
        std::find_if(slots.begin(), slots.end(), [](const Slot& s) { return s.status == ModelState::Status::loading; });
    if (wanted != slots.end()) {
      load(lock, *wanted);
      changed.notify_all();
      continue;
    }
    std::optional<Clock::time_point> next;
    Slot* first = nullptr;
    for (Slot& each : slots)
      if (const auto at = each.leaves_at(); at && (!next || *at < *next)) next = at, first = &each;
    if (first && *next <= Clock::now())
      let_go(lock, *first, first->leaving ? "asked to" : "not used for its time");
    else if (next)
      work.wait_until(lock, *next);
    else
      work.wait(lock);
  }
  for (Slot& each : slots)
    if (each.model) let_go(lock, each, "the server ends");
}

ModelPool::ModelPool(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<ModelPool>> ModelPool::create(Options options) {
  auto impl = std::make_shared<Impl>();
  impl->options = std::move(options);
  QUERN_TRY(impl->set_up());
  return std::unique_ptr<ModelPool>(new ModelPool(std::move(impl)));
}

ModelPool::~ModelPool() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
    impl_->work.notify_one();
  }
  impl_->keeper.join();
}

Result<std::shared_ptr<ServedModel>> ModelPool::acquire(const std::string& name, const std::function<bool()>& on_progress) {
  std::unique_lock lock(impl_->mutex);
  QUERN_ASSIGN(Slot* const slot, impl_->slot(name));
  std::optional<uint64_t> attempt;  // the loading that this call waits for
  for (;;) {
    if (slot->loaded()) return impl_->lend(*slot);
    if (impl_->draining) return fail(Errc::busy, "model {}: the server is shutting down", slot->entry.name);
    if (slot->status == ModelState::Status::absent) {
      if (attempt == slot->attempt && slot->error) return tl::unexpected(*slot->error);
      slot->status = ModelState::Status::loading;
      slot->error.reset();
      ++slot->attempt;
      impl_->work.notify_one();
    }
    attempt = slot->attempt;
    ++slot->waiting;
    impl_->changed.wait_for(lock, kProgressEvery);
    bool wanted = true;
    if (slot->status == ModelState::Status::loading && on_progress) {
      lock.unlock();
      wanted = on_progress();
      lock.lock();
    }
    if (--slot->waiting == 0) impl_->work.notify_one();
    if (!wanted) return fail(Errc::denied, "model {}: no longer wanted", slot->entry.name);
  }
}

Result<void> ModelPool::unload(const std::string& name) {
  const std::lock_guard lock(impl_->mutex);
  QUERN_ASSIGN(Slot* const slot, impl_->slot(name));
  slot->leaving = slot->status != ModelState::Status::absent;
  impl_->work.notify_one();
  return {};
}

Result<void> ModelPool::keep(const std::string& name, std::chrono::duration<double> time) {
  const std::lock_guard lock(impl_->mutex);
  QUERN_ASSIGN(Slot* const slot, impl_->slot(name));
  slot->keep = time;
  impl_->work.notify_one();
  return {};
}

Result<std::string> ModelPool::resolve(const std::string& name) const {
  const std::lock_guard lock(impl_->mutex);
  QUERN_ASSIGN(const Slot* const slot, impl_->slot(name));
  return slot->entry.name;
}

std::vector<ModelState> ModelPool::list() const {
  std::vector<ModelState> all;
  const std::lock_guard lock(impl_->mutex);
  const auto now = Clock::now();
  for (const Slot& slot : impl_->slots) {
    ModelState state{.entry = slot.entry, .status = slot.status, .bytes = slot.bytes, .users = slot.users};
    if (slot.model && slot.model->scheduler) state.stats = slot.model->scheduler->stats();
    if (slot.model) state.cache = slot.model->cache_report.stats();
    if (slot.model && slot.model->engine) {
      state.context = slot.model->engine->context();
      state.chat_format = slot.model->engine->chat_format();
    }
    if (slot.loaded()) {
      state.resident = slot.bytes + state.stats.memory;
      if (slot.users == 0) state.idle_s = Seconds(now - slot.last_use).count();
      if (const auto at = slot.leaves_at()) state.expires_s = slot.leaving ? 0 : std::max(0.0, Seconds(*at - now).count());
    }
    all.push_back(std::move(state));
  }
  return all;
}

ModelPool::Busy ModelPool::busy() const {
  Busy busy;
  const std::lock_guard lock(impl_->mutex);
  for (const Slot& slot : impl_->slots) {
    if (!slot.model || !slot.model->scheduler) continue;
    const SchedulerStats stats = slot.model->scheduler->stats();
    busy.running += stats.running;
    busy.waiting += stats.waiting;
  }
  return busy;
}

void ModelPool::drain(double seconds) {
  std::vector<std::shared_ptr<ServedModel>> models;
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->draining = true;
    for (Slot& slot : impl_->slots)
      if (slot.model) models.push_back(impl_->lend(slot));
    impl_->changed.notify_all();
  }
  std::vector<std::thread> drains;
  for (const auto& model : models)
    drains.emplace_back([&model, seconds] {
      if (!model->scheduler) return;
      model->scheduler->drain(seconds);
      if (model->cache) model->scheduler->between_steps([&] { model->cache->flush(); });
    });
  for (std::thread& thread : drains) thread.join();
}

}  // namespace quern
