#include "runtime/job_queue.h"

#include <algorithm>

namespace quern {

void JobQueue::push(std::unique_ptr<WaitingJob> job) {
  Level& level = levels_[job->job.priority];
  auto client = std::find_if(level.begin(), level.end(), [&](const Client& c) { return c.name == job->job.client; });
  if (client == level.end()) client = level.insert(level.end(), Client{job->job.client, {}});
  client->jobs.push_back(std::move(job));
  ++size_;
}

std::unique_ptr<WaitingJob> JobQueue::pop(const std::function<Verdict(const WaitingJob&)>& verdict) {
  for (auto level = levels_.end(); level != levels_.begin();) {
    --level;
    for (auto client = level->second.begin(); client != level->second.end(); ++client)
      for (size_t i = 0; i < client->jobs.size(); ++i) {
        const Verdict said = verdict(*client->jobs[i]);
        if (said == Verdict::stop) return nullptr;
        if (said == Verdict::skip) continue;
        level->second.splice(level->second.end(), level->second, client);
        return take(level, client, i);
      }
  }
  return nullptr;
}

std::unique_ptr<WaitingJob> JobQueue::remove(Scheduler::Id id) {
  for (auto level = levels_.begin(); level != levels_.end(); ++level)
    for (auto client = level->second.begin(); client != level->second.end(); ++client)
      for (size_t i = 0; i < client->jobs.size(); ++i)
        if (client->jobs[i]->id == id) return take(level, client, i);
  return nullptr;
}

std::unique_ptr<WaitingJob> JobQueue::take(std::map<int, Level>::iterator level, Level::iterator client, size_t job) {
  std::unique_ptr<WaitingJob> taken = std::move(client->jobs[job]);
  client->jobs.erase(client->jobs.begin() + static_cast<std::ptrdiff_t>(job));
  if (client->jobs.empty()) level->second.erase(client);
  if (level->second.empty()) levels_.erase(level);
  --size_;
  return taken;
}

}  // namespace quern
