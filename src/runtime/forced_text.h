// Text that a constraint leaves no choice about, as tokens. Its last token is left to the model, since what follows may belong to it
// ("name" and "names"), except where nothing can: behind markup, and at the end of the whole text.
#pragma once

#include <cstdint>
#include <vector>

#include "constrain/matcher.h"
#include "text/tokenizer.h"

namespace quern {

// Accepts the tokens of matcher.forced() that are certain, and returns them; none when there is a choice now. Ids from `limit` on are
// never used.
std::vector<int32_t> accept_forced(Matcher& matcher, const Tokenizer& tokenizer, int64_t limit);

// Whether the text is complete and cannot go on.
bool is_over(Matcher& matcher);

}  // namespace quern
