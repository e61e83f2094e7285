#include "constrain/unicode_class.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <map>

namespace quern {
namespace {

constexpr size_t kCategories = 30;  // utf8proc_category_t, from Cn = 0 to Co = 29

const std::array<CharSet, kCategories>& categories() {
  static const std::array<CharSet, kCategories> table = [] {
    std::array<std::vector<CodeRange>, kCategories> ranges;
    for (char32_t c = 0; c <= kLastCodePoint; ++c) {
      auto& of_category = ranges[static_cast<size_t>(utf8proc_category(static_cast<utf8proc_int32_t>(c)))];
      if (!of_category.empty() && of_category.back().last + 1 == c)
        of_category.back().last = c;
      else
        of_category.push_back({c, c});
    }
    std::array<CharSet, kCategories> sets;
    for (size_t i = 0; i < kCategories; ++i) sets[i] = CharSet(std::move(ranges[i]));
    return sets;
  }();
  return table;
}

struct CategoryName {
  std::string_view short_name, long_name, other_name;
  std::array<int, 7> members;  // utf8proc categories; -1 ends
};

constexpr CategoryName kCategoryNames[] = {
    {"L", "Letter", "", {1, 2, 3, 4, 5, -1}},
    {"LC", "Cased_Letter", "", {1, 2, 3, -1}},
    {"Lu", "Uppercase_Letter", "", {1, -1}},
    {"Ll", "Lowercase_Letter", "", {2, -1}},
    {"Lt", "Titlecase_Letter", "", {3, -1}},
    {"Lm", "Modifier_Letter", "", {4, -1}},
    {"Lo", "Other_Letter", "", {5, -1}},
    {"M", "Mark", "Combining_Mark", {6, 7, 8, -1}},
    {"Mn", "Nonspacing_Mark", "", {6, -1}},
    {"Mc", "Spacing_Mark", "", {7, -1}},
    {"Me", "Enclosing_Mark", "", {8, -1}},
    {"N", "Number", "", {9, 10, 11, -1}},
    {"Nd", "Decimal_Number", "digit", {9, -1}},
    {"Nl", "Letter_Number", "", {10, -1}},
    {"No", "Other_Number", "", {11, -1}},
    {"P", "Punctuation", "punct", {12, 13, 14, 15, 16, 17, 18}},
    {"Pc", "Connector_Punctuation", "", {12, -1}},
    {"Pd", "Dash_Punctuation", "", {13, -1}},
    {"Ps", "Open_Punctuation", "", {14, -1}},
    {"Pe", "Close_Punctuation", "", {15, -1}},
    {"Pi", "Initial_Punctuation", "", {16, -1}},
    {"Pf", "Final_Punctuation", "", {17, -1}},
    {"Po", "Other_Punctuation", "", {18, -1}},
    {"S", "Symbol", "", {19, 20, 21, 22, -1}},
    {"Sm", "Math_Symbol", "", {19, -1}},
    {"Sc", "Currency_Symbol", "", {20, -1}},
    {"Sk", "Modifier_Symbol", "", {21, -1}},
    {"So", "Other_Symbol", "", {22, -1}},
    {"Z", "Separator", "", {23, 24, 25, -1}},
    {"Zs", "Space_Separator", "", {23, -1}},
    {"Zl", "Line_Separator", "", {24, -1}},
    {"Zp", "Paragraph_Separator", "", {25, -1}},
    {"C", "Other", "", {26, 27, 28, 29, 0, -1}},
    {"Cc", "Control", "cntrl", {26, -1}},
    {"Cf", "Format", "", {27, -1}},
    {"Cs", "Surrogate", "", {28, -1}},
    {"Co", "Private_Use", "", {29, -1}},
    {"Cn", "Unassigned", "", {0, -1}},
};
static_assert(UTF8PROC_CATEGORY_CN == 0 && UTF8PROC_CATEGORY_LU == 1 && UTF8PROC_CATEGORY_LO == 5 && UTF8PROC_CATEGORY_MN == 6 &&
              UTF8PROC_CATEGORY_ME == 8 && UTF8PROC_CATEGORY_ND == 9 && UTF8PROC_CATEGORY_PC == 12 && UTF8PROC_CATEGORY_PO == 18 &&
              UTF8PROC_CATEGORY_SM == 19 && UTF8PROC_CATEGORY_ZS == 23 && UTF8PROC_CATEGORY_CC == 26 && UTF8PROC_CATEGORY_CO == 29);

std::optional<CharSet> category(std::string_view name) {
  for (const CategoryName& entry : kCategoryNames) {
    if (name != entry.short_name && name != entry.long_name && (entry.other_name.empty() || name != entry.other_name)) continue;
    CharSet set;
    for (const int member : entry.members) {
      if (member < 0) break;
      set = set | categories()[static_cast<size_t>(member)];
    }
    return set;
  }
  return std::nullopt;
}

// Code points that differ in case only, as groups. Simple folding is lower(upper(c)) but for the two Turkish letters, which fold to
// themselves.
const std::vector<std::vector<char32_t>>& case_groups() {
  static const std::vector<std::vector<char32_t>> groups = [] {
    constexpr char32_t kLastCased = 0x1FFFF;
    constexpr char32_t kCapitalDottedI = 0x130, kSmallDotlessI = 0x131;
    std::map<utf8proc_int32_t, std::vector<char32_t>> by_folding;
    for (char32_t c = 0; c <= kLastCased; ++c) {
      const auto point = static_cast<utf8proc_int32_t>(c);
      const utf8proc_int32_t upper = utf8proc_toupper(point);
      const bool cased = upper != point || utf8proc_tolower(point) != point;
      if (cased && c != kCapitalDottedI && c != kSmallDotlessI) by_folding[utf8proc_tolower(upper)].push_back(c);
    }
    std::vector<std::vector<char32_t>> several;
    for (auto& [folding, members] : by_folding)
      if (members.size() > 1) several.push_back(std::move(members));
    return several;
  }();
  return groups;
}

}  // namespace

const CharSet& unicode_white_space() {
  static const CharSet set({{9, 13},
                            {' ', ' '},
                            {0x85, 0x85},
                            {0xA0, 0xA0},
                            {0x1680, 0x1680},
                            {0x2000, 0x200A},
                            {0x2028, 0x2029},
                            {0x202F, 0x202F},
                            {0x205F, 0x205F},
                            {0x3000, 0x3000}});
  return set;
}

std::optional<CharSet> unicode_class(std::string_view property) {
  for (const std::string_view prefix : {"gc=", "General_Category="})
    if (property.starts_with(prefix)) return category(property.substr(prefix.size()));
  if (property == "Any") return CharSet::all();
  if (property == "ASCII") return CharSet({{0, 0x7F}});
  if (property == "Assigned") return categories()[UTF8PROC_CATEGORY_CN].complement();
  if (property == "ASCII_Hex_Digit" || property == "AHex") return CharSet({{'0', '9'}, {'A', 'F'}, {'a', 'f'}});
  if (property == "White_Space" || property == "space") return unicode_white_space();
  return category(property);
}

CharSet with_other_cases(const CharSet& set) {
  std::vector<CodeRange> ranges = set.ranges();
  for (const std::vector<char32_t>& group : case_groups())
    if (std::any_of(group.begin(), group.end(), [&](char32_t c) { return set.contains(c); }))
      for (const char32_t c : group) ranges.push_back({c, c});
  return CharSet(std::move(ranges));
}

}  // namespace quern
