// Episodes: what to play, by suite. The same generator makes training conversations (Suite::mixed, Split::training) and evaluation
// (Split::held_out: other tools, parameters, values and phrasings). An episode depends on its suite, split, length and seed alone.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "eval/scene.h"

namespace quern {

enum class Suite {
  mixed,   // everything, as for training
  single,  // one request, one call, on services with random schemas
  chain,   // `length` calls one after the other: loops, trails, scripts, on files and services
  files,   // the file tools, one call to a few dozen
  // Not in `mixed`, which stays what pebble's numbers were measured on:
  parallel,   // several calls in one turn, on files and services
  errors,     // calls that fail, and what is done about it
  documents,  // questions about documents, as `quern ask` puts them; no calls
};
std::string_view suite_name(Suite suite);
Result<Suite> parse_suite(std::string_view name);

// length: calls of a chain episode, 2 to 200; looked at by Suite::chain only.
ToolEpisode make_episode(Suite suite, Split split, int64_t length, uint64_t seed);

}  // namespace quern
