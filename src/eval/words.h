// Words: the pools that episodes draw from, split into a training and a held-out part that share nothing. Every pool here, phrasings
// included, is divided by the same rule (every fifth entry is held out; made-up words by their hash), so that what evaluation uses was
// never seen in training.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"

namespace quern {

enum class Split { training, held_out };

using Pool = std::span<const std::string_view>;

namespace pools {
extern const Pool first_names, last_names, cities, nouns, adjectives, extensions, file_stems, folder_names, projects, companies, fields, verbs_create,
    verbs_get, verbs_list, verbs_update, verbs_delete, verbs_send, entities, statuses, sentences, months;
}

// True when entry i of a pool belongs to the held-out part.
constexpr bool held_out(size_t index) { return index % 5 == 3; }

class Words {
 public:
  Words(Random& random, Split split) : random_(random), split_(split) {}

  Random& random() { return random_; }
  Split split() const { return split_; }

  std::string pick(Pool pool);
  // A phrasing or any other list given in place, split like the pools; lists shorter than five are used whole.
  std::string_view pick(std::initializer_list<std::string_view> options);
  std::string made_up();               // a pronounceable word: "tavrosel"
  std::string word();                  // of the pools mostly, made up sometimes
  std::string person();                // "Anna" or "Anna Berg"
  std::string date();                  // one of several forms
  std::string number(int64_t most);    // digits
  std::string money();                 // "1249.50"
  std::string code();                  // "TK-4821", "x93fa", "80124"
  std::string file_name();             // stem, separators, digits, extension
  std::string file_stem();
  std::string extension();
  std::string folder();
  bool chance(double p) { return random_.chance(p); }
  int64_t between(int64_t low, int64_t high) { return random_.between(low, high); }

 private:
  bool mine(size_t index) const { return held_out(index) == (split_ == Split::held_out); }
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
