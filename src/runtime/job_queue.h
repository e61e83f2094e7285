// JobQueue: what waits to be begun. Higher priorities come first; within one, clients take turns, and a client's own jobs keep their order.
// Not shared between threads.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>

#include "runtime/scheduler.h"

namespace quern {

struct WaitingJob {
  Scheduler::Id id = 0;
  Job job;
  int64_t most = 0;  // tokens that it may come to hold
  std::chrono::steady_clock::time_point since;
};

class JobQueue {
 public:
  void push(std::unique_ptr<WaitingJob> job);

  enum class Verdict {
    take,
    skip,  // not now; another may go before it
    stop,  // not now, and nobody goes before it
  };
  // The first job in line whose verdict is take, which its client's turn ends with; nullptr when there is none.
  std::unique_ptr<WaitingJob> pop(const std::function<Verdict(const WaitingJob&)>& verdict);
  std::unique_ptr<WaitingJob> remove(Scheduler::Id id);  // nullptr: it is not here
  size_t size() const { return size_; }

 private:
  struct Client {
    std::string name;
    std::deque<std::unique_ptr<WaitingJob>> jobs;  // never empty
  };
  using Level = std::list<Client>;  // in the order of their turns
  std::unique_ptr<WaitingJob> take(std::map<int, Level>::iterator level, Level::iterator client, size_t job);

  std::map<int, Level> levels_;  // by priority; none of them empty
  size_t size_ = 0;
};

}  // namespace quern
