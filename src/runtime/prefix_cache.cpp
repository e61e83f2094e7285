#include "runtime/prefix_cache.h"

#include <algorithm>
#include <exception>
#include <functional>
#include <optional>
#include <queue>
#include <set>
#include <type_traits>
#include <utility>

#include "base/check.h"
#include "runtime/footprint.h"
#include "runtime/prefix_tree.h"
#include "runtime/state_folder.h"
#include "runtime/task_thread.h"

namespace quern {
namespace {

using State = std::shared_ptr<const SequenceState>;

struct Kept {
  State state;                        // in memory
  std::optional<StoredState> stored;  // in the folder
  bool writing = false;
  bool leaving = false;  // from memory, once it is written
  bool loading = false;
  uint64_t used = 0;  // when it was last of use
};
using Tree = PrefixTree<Kept>;
using Node = Tree::Node;

// Both on threads of their own. The state that is written comes back with its task, since pages that nobody else holds are written in place.
struct Write {
  Node* node;
  State state;
  std::vector<int32_t> tokens;
  Result<StoredState> stored = fail(Errc::io, "not written");
};
struct Load {
  Node* node;
  StoredState stored;
  std::vector<int32_t> tokens;
  Result<State> state = fail(Errc::io, "not loaded");
};

// What `work` gives; no memory, or a mapping that cannot be made, is an error of the disk like others.
template <class Work>
std::invoke_result_t<Work> of_the_disk(const Work& work) {
  try {
    return work();
  } catch (const std::exception& e) {
    return fail(Errc::io, "{}", e.what());
  }
}

}  // namespace

struct PrefixCache::Impl {
  Runner& runner;
  PrefixCacheOptions options;
  Tree tree;
  std::set<Node*> nodes;  // that keep something
  Footprint memory;
  size_t leaving = 0;  // bytes of it that go when they are written
  PrefixCacheStats stats;
  uint64_t clock = 0;
  bool warned = false;
  std::unique_ptr<StateFolder> folder;
  std::unique_ptr<TaskThread<Write>> writer;  // after the folder: gone before it
  std::unique_ptr<TaskThread<Load>> loader;

  static constexpr size_t kMostWriting = 8, kMostLoading = 2;
  static constexpr double kWriteEvery = 2048;     // tokens that a process which is killed may have to read again
  static constexpr double kLoadShare = 1.0 / 16;  // what loading a state costs of reading its tokens again, about

  Impl(Runner& r, PrefixCacheOptions o) : runner(r), options(std::move(o)) {
    if (options.folder.empty()) return;
    auto opened = StateFolder::open(options.folder, runner, options.on_warning);
    if (!opened) {
      warn(opened.error().message);
      return;
    }
    folder = std::move(*opened);
    for (StateFolder::Found& found : folder->take_found()) {
      Node& node = tree.at(found.tokens);
      keep(node).stored = std::move(found.state);
      node.kept->used = ++clock;
    }
    writer = std::make_unique<TaskThread<Write>>(
        [this](Write& task) { task.stored = of_the_disk([&] { return folder->write(task.state, task.tokens); }); });
    loader = std::make_unique<TaskThread<Load>>([this](Load& task) { task.state = of_the_disk([&] { return fetched(task); }); });
    bound_folder();
  }

  void warn(const std::string& line) {
    if (!std::exchange(warned, true) && options.on_warning) options.on_warning("prefix cache: " + line);
  }

  Kept& keep(Node& node) {
    if (!node.kept) {
      node.kept = std::make_unique<Kept>();
      nodes.insert(&node);
    }
    return *node.kept;
  }

  // --- what to let go ---

  // Tokens that have to be read again for this node when it is gone.
  template <class Remaining>
  static double cost(const Node& node, const Remaining& remaining) {
    const Node* before = node.above(remaining);
    return static_cast<double>(node.depth - (before ? before->depth : 0));
  }
  double worth(const Node& node, double cost, size_t bytes) const {
    return cost / static_cast<double>(std::max<size_t>(bytes, 1)) / static_cast<double>(clock - node.kept->used + 1);
  }

  void enter(Node& node, State state) {
    memory.add(*state);
    node.kept->state = std::move(state);
    ++stats.states;
  }
  void leave(Node& node) {
    Kept& kept = *node.kept;
    memory.remove(*kept.state);
    kept.state.reset();
    --stats.states;
    ++stats.evicted;
    forget_if_empty(node);
  }
  void forget_if_empty(Node& node) {
    if (node.kept->state || node.kept->stored || node.kept->writing) return;  // what is loading is stored
    nodes.erase(&node);
    node.kept.reset();
    tree.prune(&node);
  }
  void stay(Node& node) {  // it is wanted again while it is being written
    if (!std::exchange(node.kept->leaving, false)) return;
    leaving -= std::min(leaving, node.kept->state->recurrent_bytes());
  }

  // Lets go of nodes, least worth first, until `enough`: those that worth_of gives a number for. Worths change as others go, so each is
  // looked at again when its turn comes; they only rise.
  template <class WorthOf, class Enough, class LetGo>
  void let_go(const WorthOf& worth_of, const Enough& enough, const LetGo& go) {
    using Entry = std::pair<double, Node*>;
    std::vector<Entry> entries;
    for (Node* node : nodes)
      if (const std::optional<double> worth = worth_of(*node)) entries.emplace_back(*worth, node);
    std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue(std::greater<>(), std::move(entries));
    while (!queue.empty() && !enough()) {
      const auto [before, node] = queue.top();
      queue.pop();
      const std::optional<double> now = worth_of(*node);
      if (!now) continue;
      if (*now > before && !queue.empty() && *now > queue.top().first)
        queue.emplace(*now, node);
      else
        go(*node);
    }
  }
  static size_t low_water(size_t limit) { return limit - limit / 16; }  // so that not every state looks for room

  void bound_memory() {
    const auto within = [&](size_t limit) { return memory.bytes() - std::min(leaving, memory.bytes()) <= limit; };
    if (within(options.memory)) return;
    let_go(
        [&](const Node& node) -> std::optional<double> {
          const Kept& kept = *node.kept;
          if (!kept.state || kept.writing || kept.used == clock) return {};  // what is being used stays
          const double share = kept.stored ? kLoadShare : 1;
          return worth(node, share * cost(node, [](const Kept&) { return true; }), memory.removal_frees(*kept.state));
        },
        [&] { return within(low_water(options.memory)); },
        [&](Node& node) {
          const size_t bytes = node.kept->state->recurrent_bytes();
          // Until it is written its memory is taken beyond the bound: one at a time, or an eighth.
          const bool may_wait =
              writer && (writer->open() == 0 || (writer->open() < kMostWriting && leaving + bytes <= options.memory / 8));
          if (!may_wait || node.kept->stored) return leave(node);
          node.kept->leaving = true;
          leaving += bytes;
          write(node);
        });
    while (!within(options.memory) && writer && writer->open() > 0) take_written(/*wait=*/true);
    if (within(options.memory)) return;
    for (Node* node : std::vector<Node*>(nodes.begin(), nodes.end()))  // larger than the memory by itself
      if (node->kept->state && !node->kept->writing) leave(*node);
  }

  void bound_folder() {
    if (!folder || folder->bytes() <= options.disk) return;
    let_go(
        [&](const Node& node) -> std::optional<double> {
          if (!node.kept->stored || node.kept->loading) return {};
          const double again = cost(node, [](const Kept& kept) { return kept.stored.has_value(); });
          return worth(node, again, folder->removal_frees(*node.kept->stored));
        },
        [&] { return folder->bytes() <= low_water(options.disk); },
        [&](Node& node) {
          folder->remove(*node.kept->stored);
          node.kept->stored.reset();
          forget_if_empty(node);
        });
  }

  // --- the folder ---

  void write(Node& node) {
    node.kept->writing = true;
    writer->push({&node, node.kept->state, node.tokens()});
  }

  void take_written(bool wait) {
    if (!writer) return;
    for (Write& task : writer->take(wait)) {
      Kept& kept = *task.node->kept;
      kept.writing = false;
      if (task.stored) {
        kept.stored = std::move(*task.stored);
        ++stats.written;
      } else {
        warn(task.stored.error().message);
      }
      task.state.reset();
      const bool goes = kept.leaving;
      stay(*task.node);
      if (goes) leave(*task.node);
    }
    bound_folder();
  }

  Result<State> fetched(const Load& task) const {
    QUERN_ASSIGN(SequenceState state, folder->load(task.stored, task.tokens));
    return std::make_shared<const SequenceState>(std::move(state));
  }

  void load(Node& node) {
    node.kept->loading = true;
    loader->push({&node, *node.kept->stored, node.tokens()});
  }

  // What comes in stays until it was found once, or something else is put in.
  void take_loaded(bool wait) {
    if (!loader) return;
    for (Load& task : loader->take(wait)) {
      Node& node = *task.node;
      Kept& kept = *node.kept;
      kept.loading = false;
      if (kept.state) continue;  // it was put in meanwhile
      if (!task.state) {
        warn(task.state.error().message);
        folder->remove(*kept.stored);
        kept.stored.reset();
        forget_if_empty(node);
        continue;
      }
      enter(node, std::move(*task.state));
      folder->share(*kept.stored, kept.state);
      kept.used = ++clock;
      ++stats.loaded;
    }
  }

  static std::span<const int32_t> usable(std::span<const int32_t> prompt) {  // the last token is read always: its logits are wanted
    return prompt.first(prompt.empty() ? 0 : prompt.size() - 1);
  }
};

PrefixCache::PrefixCache(Runner& runner, PrefixCacheOptions options) : impl_(std::make_unique<Impl>(runner, std::move(options))) {}
PrefixCache::~PrefixCache() = default;

bool PrefixCache::ready(std::span<const int32_t> prompt) {
  Impl& c = *impl_;
  c.take_loaded(/*wait=*/false);
  Node* node = c.tree.deepest(Impl::usable(prompt));
  if (!node || node->kept->state) return true;
  if (!node->kept->loading && c.loader->open() < Impl::kMostLoading) c.load(*node);
  return false;
}

Timeline PrefixCache::find(std::span<const int32_t> prompt) {
  Impl& c = *impl_;
  c.take_written(/*wait=*/false);
  c.take_loaded(/*wait=*/false);
  ++c.clock;
  ++c.stats.lookups;
  while (Node* node = c.tree.deepest(Impl::usable(prompt))) {
    if (!node->kept->state) {  // it is in memory then, or not known any more
      if (!node->kept->loading) c.load(*node);
      c.take_loaded(/*wait=*/true);
      continue;
    }
    c.stay(*node);
    node->kept->used = c.clock;
    ++c.stats.hits;
    c.stats.tokens_found += static_cast<int64_t>(node->depth);
    Timeline timeline(c.runner, *node->kept->state, node->tokens());
    c.bound_memory();
    return timeline;
  }
  return Timeline(c.runner);
}

size_t PrefixCache::reach(std::span<const int32_t> prompt) const {
  const Node* node = std::as_const(impl_->tree).deepest(Impl::usable(prompt));
  return node ? node->depth : 0;
}

void PrefixCache::put(const Timeline& timeline) {
  Impl& c = *impl_;
  if (timeline.tokens().empty()) return;
  c.take_written(/*wait=*/false);
  Node& node = c.tree.at(timeline.tokens());
  c.keep(node).used = ++c.clock;
  if (node.kept->state) return c.stay(node);
  c.enter(node, std::make_shared<const SequenceState>(timeline.state().settled()));
  if (node.kept->stored)
    c.folder->share(*node.kept->stored, node.kept->state);
  else if (c.writer && c.writer->open() == 0 &&
           Impl::cost(node, [](const Kept& kept) { return kept.stored.has_value(); }) >= Impl::kWriteEvery)
    c.write(node);
  c.bound_memory();
}

std::vector<size_t> PrefixCache::worthwhile(size_t tokens, std::span<const size_t> boundaries, size_t from) const {
  constexpr size_t kApart = static_cast<size_t>(Timeline::kCut), kShare = 8, kNear = 16;
  std::vector<size_t> chosen;  // backwards
  if (tokens <= from + 1) return {};
  const size_t end = tokens - 1;  // what a prompt can begin with
  const auto last_at_most = [&](size_t limit) -> size_t {
    const auto above = std::upper_bound(boundaries.begin(), boundaries.end(), limit);
    return above == boundaries.begin() ? 0 : *std::prev(above);
  };
  const auto add = [&](size_t at) {
    if (at > from + kNear && (chosen.empty() || at < chosen.back())) chosen.push_back(at);
  };
  const size_t last = last_at_most(end);
  if (end - last >= 2 * kApart) add(end / kApart * kApart);  // text without boundaries at the end
  add(last);
  while (!chosen.empty()) {
    const size_t at = chosen.back(), gap = std::max(kApart, (tokens - at) / kShare);
    if (at <= from + gap) break;
    const size_t target = at - gap, boundary = last_at_most(target);
    const size_t next = boundary > from + kNear && boundary + gap >= target ? boundary : target / kApart * kApart;
    if (next <= from + kNear) break;
    chosen.push_back(next);
  }
  if (!boundaries.empty() && boundaries.front() <= end) add(boundaries.front());
  std::reverse(chosen.begin(), chosen.end());
  return chosen;
}

void PrefixCache::flush() {
  Impl& c = *impl_;
  if (!c.writer) return;
  std::vector<std::pair<double, Node*>> open;
  for (Node* node : c.nodes)
    if (node->kept->state && !node->kept->stored && !node->kept->writing)
      open.emplace_back(Impl::cost(*node, [](const Kept&) { return true; }), node);
  std::sort(open.begin(), open.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  for (const auto& [cost, node] : open) c.write(*node);
  while (c.writer->open() > 0) c.take_written(/*wait=*/true);
}

void PrefixCache::clear() {
  Impl& c = *impl_;
  while (c.writer && c.writer->open() > 0) c.take_written(/*wait=*/true);
  while (c.loader && c.loader->open() > 0) c.take_loaded(/*wait=*/true);
  while (!c.nodes.empty()) {
    Node* node = *c.nodes.begin();
    if (node->kept->stored) c.folder->remove(*node->kept->stored);
    node->kept->stored.reset();
    if (node->kept->state)
      c.leave(*node);
    else
      c.forget_if_empty(*node);
  }
}

PrefixCacheStats PrefixCache::stats() const {
  PrefixCacheStats stats = impl_->stats;
  stats.bytes = impl_->memory.bytes();
  if (impl_->folder) stats.bytes_on_disk = impl_->folder->bytes();
  for (const Node* node : impl_->nodes) stats.states_on_disk += node->kept->stored ? 1 : 0;
  return stats;
}

}  // namespace quern
