// The services of the leaderboard's multi-turn questions: Python classes in the user's own copy of its repository, run by the user's
// python3 in the sandbox (it reads that copy and Python itself, nothing else; no network). bfcl_services.py, which is part of the
// program, stands between: it makes the instances, calls their methods, and compares those of the model with those of the ground truth.
//
// One process serves item after item; what takes too long, too much memory or too much to say ends it, and the next start() makes
// another. Not shared between threads; the thread that uses it must outlive it (ChildProcess).
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/sandbox/process.h"
#include "base/json.h"
#include "eval/bfcl_turns.h"

namespace quern {

struct BfclServicesOptions {
  std::filesystem::path data;            // the leaderboard's bfcl_eval/data
  std::vector<std::string> environment;  // NAME=value: where python3 is looked for
  double answer_seconds = 20;            // of one request: a start, the calls of a step, a comparison
};

class BfclServices {
 public:
  enum class Side { model, truth };

  // Finds python3 and asks it where its library is. not_found: what is to be installed.
  static Result<BfclServices> open(BfclServicesOptions options);

  // Whether these can be had at all. not_found: a package that they import; io, malformed: what went wrong.
  Result<void> load(const std::vector<BfclService>& services);

  // New instances for both sides. This and what follows fail with io when the process ends or has to be ended, and with malformed when
  // a service itself fails where it must not.
  Result<void> start(const BfclTurnsItem& item);
  // A result a call: what the method returned, or "Error during execution: …".
  Result<std::vector<std::string>> call(Side side, const BfclStep& calls);
  // What is not alike in the two sides' attributes, one line; nullopt: nothing.
  Result<std::optional<std::string>> difference();

 private:
  BfclServices() = default;
  Result<void> spawn();
  Result<Json> ask(const Json& request);
  Result<std::string> read_line();
  bool take_words();
  tl::unexpected<Error> end_with(std::string why);

  BfclServicesOptions options_;
  std::filesystem::path root_;                  // bfcl_eval
  std::string python_;                          // the interpreter itself, not what may stand before it in PATH
  std::vector<std::filesystem::path> library_;  // what it reads
  std::optional<ChildProcess> process_;
  std::string unread_;
  std::string words_;  // the end of what it wrote to its errors
};

}  // namespace quern
