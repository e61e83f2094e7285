// Which files a folder's .gitignore and .ignore files leave out, as git reads them: one pattern a line, '#' comments, '!' takes
// back, a '/' inside or before anchors to the file's folder, a '/' behind is for folders only, * ? [a-z] within a name, ** across
// folders. The last rule that matches decides.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace quern {

class IgnoreRules {
 public:
  // The rules of one such file. `folder`: where it stands, from the root, "" or with a '/' behind.
  void add(std::string_view folder, std::string_view text);
  // `path` from the root, without a '/' behind.
  bool ignores(std::string_view path, bool is_folder) const;

 private:
  enum class Kind : uint8_t { byte, any_byte, set, star, folders, rest };
  struct Piece {
    Kind kind = Kind::byte;
    char byte = 0;
    bool negated = false;  // set
    std::string ranges;    // set: pairs of first and last byte
  };
  struct Rule {
    std::string folder;
    std::vector<Piece> pieces;
    bool takes_back = false, folders_only = false, anchored = false;
  };

  static Rule parse(std::string_view folder, std::string_view line);
  static bool matches(const std::vector<Piece>& pieces, std::string_view text);

  std::vector<Rule> rules_;
};

}  // namespace quern
