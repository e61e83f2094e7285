// Words: the pools that episodes draw from, split into a training and a held-out part that share nothing: a word, made up or of a pool,
// by its hash, a phrasing by its place in its list. What evaluation uses was never seen in training.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"

namespace quern {

enum class Split { training, held_out };
// "training", or else "held-out".
inline Split split_named(std::string_view name) { return name == "training" ? Split::training : Split::held_out; }

using Pool = std::span<const std::string_view>;

namespace pools {
extern const Pool first_names, last_names, cities, nouns, adjectives, extensions, file_stems, folder_names, projects, companies,
    fields, verbs_create, verbs_get, verbs_list, verbs_update, verbs_delete, verbs_send, entities, statuses, sentences,
    common_words, months;
}

// True when a word belongs to the held-out part, in whatever pool it stands; about a fifth does.
bool held_out(std::string_view word);

class Words {
 public:
  Words(Random& random, Split split) : random_(random), split_(split) {}

  Random& random() { return random_; }
  Split split() const { return split_; }

  std::string pick(Pool pool);
  // A phrasing out of a list given in place: every fifth is held out; lists shorter than five are used whole.
  std::string_view pick(std::initializer_list<std::string_view> options);
  std::string made_up();                         // a pronounceable word: "tavrosel"
  std::string word();                            // of the pools mostly, made up sometimes
  std::string person();                          // "Anna" or "Anna Berg"
  std::string proper(Pool pool);                 // of the pool, or made up, with a capital
  std::string date();                            // one of several forms
  std::string number(int64_t most);              // digits
  std::string money();                           // "1249.50"
  std::string code();                            // "TK-4821", "x93fa", "80124"
  std::string sentence();                        // words in a row, as notes and messages have them
  std::string quoted(const std::string& value);  // bare mostly, or in one of three kinds of quotes
  std::string file_name();                       // stem, separators, digits, extension
  std::string file_stem();
  std::string extension();
  std::string folder();
  bool chance(double p) { return random_.chance(p); }
  int64_t between(int64_t low, int64_t high) { return random_.between(low, high); }

 private:
  Random& random_;
  Split split_;
};

// "first_name" and "firstName" from words "first name".
enum class NameStyle { snake, camel, kebab, dotted, pascal };
std::string join_name(std::span<const std::string> words, NameStyle style);
std::string capitalised(std::string text);
// "a", "a and b", "a, b and c".
std::string listed(const std::vector<std::string>& items);
// Replaces {0}, {1}, … by the arguments.
std::string fill(std::string_view form, std::initializer_list<std::string_view> arguments);

}  // namespace quern
