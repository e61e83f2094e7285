#include "eval/episodes.h"

#include <fmt/ranges.h>

#include <array>

#include "base/check.h"
#include "eval/families/families.h"

namespace quern {
namespace {

constexpr std::array<std::string_view, 7> kSuites = {"mixed", "single", "chain", "files", "parallel", "errors", "documents"};

// One group after the other with its share of the episodes.
struct Group {
  std::span<const Family> families;
  double share;
};

const Family& draw(Random& random, std::span<const Family> families) {
  double total = 0;
  for (const Family& family : families) total += family.weight;
  double at = random.unit() * total;
  for (const Family& family : families)
    if ((at -= family.weight) < 0) return family;
  return families.back();
}

const Family& draw(Random& random, std::initializer_list<Group> groups) {
  double at = random.unit();
  for (const Group& group : groups)
    if ((at -= group.share) < 0) return draw(random, group.families);
  return draw(random, std::prev(groups.end())->families);
}

constexpr std::array<std::string_view, 11> kChains = {"sort_mapping",   "sort_extension", "act_on_matching", "sort_by_field",
                                                      "index_fields",   "follow_files",   "file_script",     "service_loop",
                                                      "service_linked", "service_script", "service_script"};

constexpr std::array<std::string_view, 4> kRepairs = {"service_corrected", "service_corrected", "file_missing", "file_exists"};

const Family& family_named(std::string_view name) {
  for (const std::span<const Family> group : {file_loop_families(), service_families(), file_families()})
    for (const Family& family : group)
      if (family.name == name) return family;
  QUERN_CHECK(false, name);
}

}  // namespace

std::string_view suite_name(Suite suite) { return kSuites[static_cast<size_t>(suite)]; }

Result<Suite> parse_suite(std::string_view name) {
  for (size_t i = 0; i < kSuites.size(); ++i)
    if (kSuites[i] == name) return static_cast<Suite>(i);
  return fail(Errc::malformed, "no suite {}; there are {}", name, fmt::join(kSuites, ", "));
}

ToolEpisode make_episode(Suite suite, Split split, int64_t length, uint64_t seed) {
  Random random(Random::mix(seed * 2 + (split == Split::held_out ? 1 : 0)) ^ (static_cast<uint64_t>(suite) + 1) << 56);
  switch (suite) {
    case Suite::single:
      return draw(random, single_call_families()).play(random, split, 1);
    case Suite::files:
      return draw(random, {{file_families(), 0.5}, {file_loop_families(), 0.5}}).play(random, split, 0);
    case Suite::chain:
      for (;;) {  // loops of two calls a file cannot meet every length; those that miss it are drawn again
        ToolEpisode episode = family_named(random.pick(kChains)).play(random, split, length);
        if (episode.calls == length) return episode;
      }
    case Suite::parallel:
      return (random.chance(0.6) ? draw(random, file_parallel_families()) : family_named("service_parallel"))
          .play(random, split, 0);
    case Suite::errors:
      return (random.chance(0.5) ? draw(random, file_fault_families()) : family_named(random.pick(kRepairs)))
          .play(random, split, 0);
    case Suite::documents:
      return draw(random, document_families()).play(random, split, 0);
    case Suite::mixed:
      break;
  }
  if (random.chance(0.25)) return make_episode(Suite::chain, split, random.between(8, 31), random.next());
  return draw(random, {{file_families(), 0.27},
                       {file_loop_families(), 0.24},
                       {single_call_families(), 0.19},
                       {service_families(), 0.21},
                       {small_service_families(), 0.05},
                       {talk_families(), 0.04}})
      .play(random, split, 0);
}

}  // namespace quern
