#include "eval/words.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/check.h"

namespace quern {

bool held_out(std::string_view word) {
  std::string lower(word);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  // Endings that every folder has: a model must know them, not guess them.
  constexpr std::array<std::string_view, 16> kKnown = {"txt", "pdf",  "jpg", "png", "md",  "csv",  "doc", "docx",
                                                       "xls", "xlsx", "zip", "mp3", "mp4", "html", "log", "json"};
  if (std::find(kKnown.begin(), kKnown.end(), lower) != kKnown.end()) return false;
  constexpr uint64_t kSalt = 115;  // chosen so that every pool has enough words on both sides
  return Random::mix(fnv1a_64(lower) + kSalt) % 5 == 3;
}

std::string Words::pick(Pool pool) {
  for (;;)
    if (const std::string_view word = pool[random_.below(pool.size())]; held_out(word) == (split_ == Split::held_out))
      return std::string(word);
}

std::string_view Words::pick(std::initializer_list<std::string_view> options) {
  for (;;)
    if (const size_t i = random_.below(options.size()); options.size() < 5 || (i % 5 == 3) == (split_ == Split::held_out))
      return options.begin()[i];
}

namespace {

// Letters as English words have them, but many more combinations than any list of words: what is learned is to read and to copy.
constexpr std::array<std::string_view, 62> kOnsets = {
    "",    "",   "",    "b",  "bl", "br", "c",  "ch", "cl", "cr",  "d",   "dr", "f",   "fl", "fr", "g",
    "gl",  "gr", "h",   "j",  "k",  "kn", "l",  "m",  "n",  "p",   "ph",  "pl", "pr",  "qu", "r",  "rh",
    "s",   "sc", "sch", "sh", "sk", "sl", "sm", "sn", "sp", "spl", "spr", "st", "str", "sw", "t",  "th",
    "thr", "tr", "tw",  "v",  "w",  "wh", "wr", "y",  "z",  "m",   "t",   "s",  "p",   "d"};
constexpr std::array<std::string_view, 30> kVowels = {"a",  "e",  "i",  "o",  "u",  "a",  "e",  "i",  "o",  "u",
                                                      "y",  "ai", "au", "aw", "ay", "ea", "ee", "ei", "ew", "ia",
                                                      "ie", "io", "oa", "oi", "oo", "ou", "ow", "oy", "ue", "ui"};
constexpr std::array<std::string_view, 58> kCodas = {
    "",   "",   "",   "",   "b",  "c",   "ck",  "ct", "d",  "f",  "ft", "g",  "ght", "k",   "l",  "ld",  "lf", "lk", "ll", "lm",
    "lp", "lt", "m",  "mb", "mp", "n",   "nch", "nd", "ng", "nk", "nt", "p",  "pt",  "r",   "rb", "rch", "rd", "rg", "rk", "rl",
    "rm", "rn", "rp", "rs", "rt", "rve", "s",   "sh", "sk", "sp", "ss", "st", "t",   "tch", "th", "tt",  "x",  "ve"};
constexpr std::array<std::string_view, 40> kEndings = {"ing",  "er",  "ed",  "ion", "tion", "ment", "ness", "ly",  "able", "al",
                                                       "ic",   "ity", "ous", "ive", "ance", "ence", "ist",  "ism", "ship", "ful",
                                                       "less", "ate", "ify", "ize", "ise",  "age",  "ary",  "ory", "ure",  "en",
                                                       "et",   "le",  "y",   "ies", "es",   "or",   "ant",  "ent", "ard",  "ine"};
constexpr std::array<std::string_view, 24> kBeginnings = {"re",  "un",  "pre",   "dis", "over", "under", "sub", "inter",
                                                          "con", "com", "de",    "ex",  "im",   "in",    "mis", "non",
                                                          "out", "pro", "trans", "ab",  "ad",   "en",    "per", "super"};
constexpr std::array<std::string_view, 8> kAccented = {"ü", "é", "ö", "ñ", "å", "ç", "ß", "ä"};

std::string syllable(Random& random) {
  return std::string(random.pick(kOnsets)) + std::string(random.pick(kVowels)) + std::string(random.pick(kCodas));
}

std::string random_letters(Random& random) {
  std::string word;
  for (int64_t i = 0, n = random.between(3, 9); i < n; ++i) word += static_cast<char>('a' + random.below(26));
  return word;
}

// The beginning of one word and the end of another, so that the pieces that longer words are made of occur everywhere; of the words of
// both parts, since a piece is no word.
std::string spliced(Random& random) {
  constexpr std::array<const Pool*, 12> kSources = {
      &pools::common_words, &pools::common_words, &pools::nouns,    &pools::file_stems,   &pools::entities,  &pools::fields,
      &pools::adjectives,   &pools::folder_names, &pools::statuses, &pools::verbs_create, &pools::verbs_get, &pools::verbs_update};
  const auto source = [&] { return random.pick(*random.pick(kSources)); };
  const std::string_view front = source(), back = source();
  const auto take = [&](size_t size) { return std::min<size_t>(size, static_cast<size_t>(random.between(2, 7))); };
  const size_t head = take(front.size()), tail = take(back.size());
  std::string word = std::string(front.substr(0, head)) + std::string(back.substr(back.size() - tail));
  std::erase(word, ' ');
  return word;
}

std::string invented(Random& random) {
  std::string word;
  if (random.chance(0.4)) return spliced(random);
  if (random.chance(0.25)) return random_letters(random);
  if (random.chance(0.25)) word += random.pick(kBeginnings);
  for (int64_t i = 0, n = random.chance(0.5) ? 1 : random.between(1, 3); i < n; ++i) word += syllable(random);
  if (random.chance(0.35)) word += random.pick(kEndings);
  return word;
}

}  // namespace

std::string Words::made_up() {
  for (;;) {
    std::string word = invented(random_);
    if (word.size() < 4 || word.size() > 14) continue;
    if (chance(0.03)) word += random_.pick(kAccented);
    if (held_out(word) == (split_ == Split::held_out)) return word;
  }
}

std::string Words::word() {
  if (chance(0.5)) return made_up();
  return chance(0.3) ? pick(pools::common_words) : chance(0.6) ? pick(pools::nouns) : pick(pools::adjectives);
}

std::string Words::person() {
  const auto name = [&](Pool pool) { return chance(0.5) ? pick(pool) : capitalised(made_up()); };
  return chance(0.6) ? name(pools::first_names) : name(pools::first_names) + " " + name(pools::last_names);
}

std::string Words::proper(Pool pool) { return chance(0.5) ? pick(pool) : capitalised(made_up()); }

std::string Words::date() {
  const int64_t year = between(2018, 2029), month = between(1, 12), day = between(1, 28);
  switch (between(0, 3)) {
    case 0:
      return fmt::format("{}.{}.{}", day, month, year);
    case 1:
      return fmt::format("{} {} {}", day, pools::months[static_cast<size_t>(month - 1)], year);
    default:
      return fmt::format("{}-{:02}-{:02}", year, month, day);
  }
}

std::string Words::number(int64_t most) { return fmt::format("{}", between(1, chance(0.5) ? std::min<int64_t>(most, 99) : most)); }
std::string Words::money() {
  return chance(0.7) ? fmt::format("{}.{:02}", between(1, 4999), between(0, 99)) : fmt::format("{}", between(1, 9999));
}

std::string Words::code() {
  const auto letter = [&] { return static_cast<char>('A' + between(0, 25)); };
  switch (between(0, 5)) {
    case 0:
      return fmt::format("{}{}-{}", letter(), letter(), between(10, 99999));
    case 1:
      return fmt::format("{}", between(100, 999999));
    case 2:
      return fmt::format("{:x}", random_.next() >> 40);
    case 3:
      return fmt::format("{}{}{}", letter(), between(1, 99), letter());
    case 4:
      return fmt::format("{}-{}", between(2019, 2028), between(1, 9999));
    default:
      return fmt::format("{}_{}", made_up().substr(0, 4), between(1, 999));
  }
}

std::string Words::extension() {
  if (!chance(0.3)) return pick(pools::extensions);
  for (;;)
    if (std::string letters = random_letters(random_).substr(0, 3); held_out(letters) == (split_ == Split::held_out))
      return letters;
}

std::string Words::file_stem() {
  const auto stem = [&] { return chance(0.35) ? made_up() : chance(0.3) ? word() : pick(pools::file_stems); };
  std::string name = stem();
  const std::string_view separator = pick({"_", "-", " ", "."});
  if (chance(0.4)) name += std::string(separator == "." ? "-" : separator) + (chance(0.6) ? stem() : proper(pools::projects));
  if (chance(0.3))
    name += std::string(separator == "." ? "" : separator) +
            (chance(0.5)   ? number(99)
             : chance(0.5) ? fmt::format("{}", between(2015, 2029))
                           : fmt::format("{}-{:02}-{:02}", between(2018, 2029), between(1, 12), between(1, 28)));
  if (chance(0.1)) name = capitalised(name);
  if (chance(0.04))
    for (char& c : name) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

std::string Words::sentence() {
  if (chance(0.25)) return pick(pools::sentences);
  std::string text;
  for (int64_t i = 0, n = between(2, 8); i < n; ++i)
    text += (i ? " " : "") + (chance(0.5)   ? pick(pools::common_words)
                              : chance(0.6) ? word()
                              : chance(0.4) ? number(999)
                              : chance(0.5) ? person()
                                            : proper(pools::cities));
  if (chance(0.5)) text = capitalised(text);
  if (chance(0.2)) {
    constexpr std::array<std::string_view, 20> kMarked = {
        "({0})", "#{1}",  "{1}%",  "{0}@{2}.com", "{1}:30", "${1}",    "{0}/{2}", "{0} & {2}", "{0}+{2}", "{0}!",
        "{0}?",  "*{0}*", "[{0}]", "{0}; {2}",    "€{1}",   "{0}={1}", "<{0}>",   "{0} - {2}", "{0}_{2}", "{0}..."};
    text += " " + fill(random_.pick(kMarked), {word(), number(999), word()});
  }
  if (chance(0.1)) text.insert(text.rfind(' ') == std::string::npos ? text.size() : text.rfind(' '), chance(0.5) ? "," : ":");
  return text;
}

std::string Words::quoted(const std::string& value) {
  if (chance(0.65)) return value;
  const std::string_view mark = random_.pick(std::array<std::string_view, 3>{"'", "\"", "`"});
  return std::string(mark) + value + std::string(mark);
}

std::string Words::file_name() { return file_stem() + "." + extension(); }

std::string Words::folder() {
  const std::string name = chance(0.5) ? pick(pools::folder_names) : chance(0.4) ? proper(pools::projects) : word();
  return chance(0.1) ? fmt::format("{}_{}", name, between(2015, 2029)) : chance(0.1) ? capitalised(name) : name;
}

std::string capitalised(std::string text) {
  if (!text.empty()) text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return text;
}

std::string join_name(std::span<const std::string> words, NameStyle style) {
  std::string name;
  for (size_t i = 0; i < words.size(); ++i) {
    std::string word = words[i];
    for (char& c : word)
      if (c == ' ') c = style == NameStyle::kebab ? '-' : '_';
    const bool capital = style == NameStyle::pascal || (style == NameStyle::camel && i > 0);
    if (i > 0 && style == NameStyle::snake) name += '_';
    if (i > 0 && style == NameStyle::kebab) name += '-';
    if (i > 0 && style == NameStyle::dotted) name += '.';
    name += capital ? capitalised(word) : word;
  }
  return name;
}

std::string listed(const std::vector<std::string>& items) {
  std::string text;
  for (size_t i = 0; i < items.size(); ++i) text += (i == 0 ? "" : i + 1 == items.size() ? " and " : ", ") + items[i];
  return text;
}

std::string fill(std::string_view form, std::initializer_list<std::string_view> arguments) {
  std::string out;
  for (size_t i = 0; i < form.size(); ++i) {
    if (form[i] == '{' && i + 2 < form.size() && form[i + 2] == '}') {
      const auto index = static_cast<size_t>(form[i + 1] - '0');
      QUERN_CHECK(index < arguments.size(), form);
      out += arguments.begin()[index];
      i += 2;
    } else {
      out += form[i];
    }
  }
  return out;
}

}  // namespace quern
