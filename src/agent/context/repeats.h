// Repeats: notices a run that goes round in circles. The same call that fails three times, or gives the very same result again and again,
// will not get better: the model is told, then the run ends. A successful change by another call starts the counting anew, for the world is
// another one then. Calls that change something may have a reason to be repeated (one page further), so they get twice as long.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace quern {

struct SeenCall {
  std::string_view key;     // name and arguments, or the text that was no call
  std::string_view result;  // the whole of it
  bool is_error = false, changes = false;
};

class Repeats {
 public:
  static constexpr int kFailures = 3, kNudge = 3, kStop = 6;
  static constexpr std::string_view kWarning =
      "\n(The same call has given this very result before. Do something else, or say that you are done.)";

  // Counts a call; the reason for the run to end, if this is one.
  std::optional<std::string> count(const SeenCall& seen);
  // Whether the call that would be counted next is to be answered with kWarning too.
  bool nudges(const SeenCall& seen) const;

 private:
  static std::string name_of(const SeenCall& seen);
  static int patience(const SeenCall& seen) { return seen.changes ? 2 : 1; }

  std::map<std::string, int, std::less<>> failures_, same_;
};

}  // namespace quern
