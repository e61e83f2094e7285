// Scheduler: many generations on one engine at the same time. A thread of its own makes steps; a step is one forward pass over the next
// token of every running generation and, up to a budget, a piece of the prompts that are still being read, so streams keep flowing while
// a long prompt comes in. Who else is in a batch changes no bit of anybody's result (docs/architecture.md).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "constrain/matcher.h"
#include "runtime/engine.h"

namespace quern {

class PrefixCache;

struct Job {
  // Its callbacks are called on the scheduler's thread, between steps: they hand something on and return, they never wait. `constraint`
  // is the job's own, below. draw_on: as in a session.
  GenerateRequest request;
  std::unique_ptr<Matcher> constraint;  // at its start; handed back with the end, as far as it is still of use
  // Positions of the prompt at which a later prompt may part from this one: the end of the system prompt, of the tools, of each
  // message. Rising. What the cache keeps states at.
  std::vector<size_t> boundaries;
  std::string client;  // whose it is: clients take turns, however many jobs each has waiting
  int priority = 0;    // higher ones are begun first
  // Goes on in this session, which nobody else touches until the end; absent: from the nearest state in the prefix cache.
  std::shared_ptr<Session> session;
  // Called once, on the scheduler's thread, unless submit failed.
  std::function<void(Result<Generation>, std::unique_ptr<Matcher>)> on_end;
};

struct SchedulerOptions {
  int64_t max_running = 256;     // generations in one step; others wait
  int64_t max_waiting = 1024;    // beyond it submit says no
  int64_t prefill_tokens = 512;  // of prompts in one step, at most
  double step_s =
      0.08;  // seconds that a step should take while somebody's stream waits for it: fewer tokens of prompts, where need be
  // Bytes that the sequences' states and KV pages may take; 0: what is free at the start, less the weights, a reserve, and `beside`: what
  // others of this process are going to take: the prefix cache, live sessions between their jobs.
  size_t memory = 0, beside = 0;
  int64_t growth = 2048;         // tokens that a generation is promised memory for ahead of itself
  PrefixCache* cache = nullptr;  // not owned, used by the scheduler's thread only; nullptr: nothing is kept
};

struct SchedulerStats {
  int64_t running = 0, waiting = 0, parked = 0;  // parked: begun, and without their memory at the moment
  int64_t gave_way = 0;                          // how often one was parked
  int64_t finished = 0, cancelled = 0, failed = 0, refused = 0;
  int64_t prompt_tokens = 0, reused_tokens = 0, generated_tokens = 0, steps = 0;  // prompt_tokens: read, without the reused
  size_t memory = 0, memory_limit = 0;  // bytes that running sequences hold or have been promised
};

class Scheduler {
 public:
  Scheduler(const Engine& engine, SchedulerOptions options);
  ~Scheduler();  // cancels what runs and what waits; their on_end is called before it returns

  using Id = uint64_t;
  // Errors: busy (the queue is full, or everything is being drained: try again later), out_of_range (the memory would not hold the prompt
  // even alone), and what Session::generate says of a request. A job that would not fit alone with all its max_tokens ends where it no
  // longer fits (FinishReason::length).
  // A job begins when its constant state and the KV pages of its prompt and of the first tokens it generates fit beside what all that run
  // have been promised (a session's job: those of all its max_tokens). One that has its turn and does not fit holds up those behind it,
  // so that large ones have their turn, too. Where there is no room for a generation to grow, one gives way: of the lowest priority the
  // last begun. It keeps what it has said, and goes on, with the same bits, before anything new begins and as soon as all it may come to
  // need fits; so everybody waits once at most.
  Result<Id> submit(Job job);
  void cancel(Id id);  // ends with FinishReason::cancelled before the next step; an id that is over: nothing happens

  // Runs on the scheduler's thread between two steps and returns when it is done: for whatever else needs the engine or the cache. What it
  // throws is thrown here.
  void between_steps(const std::function<void()>& work);
  // Takes nothing new (submit: busy) and waits for what runs, `seconds` at most, then cancels. Not from a callback.
  void drain(double seconds);
  SchedulerStats stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace quern
