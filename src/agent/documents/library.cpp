#include "agent/documents/library.h"

#include <algorithm>
#include <unordered_set>

#include "agent/documents/ignore_rules.h"
#include "base/digest.h"
#include "base/utf8.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxDepth = 64;
constexpr size_t kMaxListed = 100'000;   // of one folder
constexpr size_t kMaxVisited = 500'000;  // of one tree
constexpr size_t kMaxIgnoreFile = size_t{1} << 20;
constexpr size_t kMaxNotes = 50;

// Names come from the disk: any bytes. They are shown, and they are what a quote refers to.
std::string printable(std::string_view name) {
  std::string text = replace_invalid_utf8(name);
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  return text;
}

std::string_view file_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

struct Library::Walk {
  Library& library;
  const RootFolder& root;
  size_t index;
  std::string given, base;  // as named; canonical
  std::string prefix;       // of names
  IgnoreRules rules;
  size_t left = kMaxVisited;
  bool complete = true;

  void folder(const std::string& path, int depth) {
    const auto listing = root.list(path, kMaxListed);
    if (!listing) return library.notes_.push_back(printable(given + "/" + path) + ": cannot be listed");
    complete = complete && listing->complete;
    if (!library.options_.all)
      for (const char* file : {".gitignore", ".ignore"})
        if (const auto text = root.read(path.empty() ? file : path + "/" + file, kMaxIgnoreFile))
          rules.add(path.empty() ? path : path + "/", text->bytes);
    for (std::string inner : listing->paths) {
      if (left == 0 || library.entries_.size() >= library.options_.max_files || depth > kMaxDepth) {
        complete = false;
        return;
      }
      --left;
      const bool is_folder = inner.ends_with('/');
      if (is_folder) inner.pop_back();
      if (!library.options_.all && (file_name(inner).starts_with('.') || rules.ignores(inner, is_folder))) continue;
      if (is_folder)
        folder(inner, depth + 1);
      else
        file(inner, false);
    }
  }

  void file(const std::string& path, bool alone) {
    const auto info = root.look_at(path);
    if (!info) {  // a link that leads out or nowhere or to a folder, a pipe, a socket
      if (alone || info.error().problem == RootFolder::Problem::outside)
        library.notes_.push_back(printable(given + "/" + path) + ": not a regular file in there, left out");
      return;
    }
    LibraryEntry entry{.root = index, .path = path, .key = base + "/" + path, .size = info->size, .modified_ns = info->modified_ns};
    entry.name = printable(prefix + path);
    entry.place = given.empty() || given == "." ? printable(path) : printable(given + (given.ends_with('/') ? "" : "/") + path);
    if (entry.size > library.options_.max_file) {
      library.notes_.push_back(
          fmt::format("{}: {} MiB, larger than {} MiB, left out", entry.place, entry.size >> 20, library.options_.max_file >> 20));
      return;
    }
    library.entries_.push_back(std::move(entry));
  }
};

Result<void> Library::add(const fs::path& named, bool alone) {
  std::error_code error;
  const fs::path canonical = fs::canonical(named, error);
  if (error) return fail(Errc::not_found, "{}: {}", named.string(), error.message());
  const bool is_folder = fs::is_directory(canonical, error);
  if (!is_folder && !fs::is_regular_file(canonical, error))
    return fail(Errc::invalid_argument, "{}: neither a folder nor a regular file", named.string());
  const fs::path folder = is_folder ? canonical : canonical.parent_path();
  QUERN_ASSIGN(RootFolder root, RootFolder::open(folder));
  std::string given = named.string();
  if (!is_folder) given = named.has_parent_path() ? named.parent_path().string() : ".";
  Walk walk{.library = *this,
            .root = root,
            .index = roots_.size(),
            .given = given,
            .base = folder.string(),
            .prefix = is_folder && !alone ? canonical.filename().string() + "/" : std::string(),
            .rules = {}};
  const size_t before = entries_.size();
  if (is_folder)
    walk.folder("", 0);
  else
    walk.file(canonical.filename().string(), true);
  if (!walk.complete)
    notes_.push_back(
        fmt::format("{}: more files than quern looks at; the first {} are used", named.string(), entries_.size() - before));
  roots_.push_back(std::move(root));
  return {};
}

// Once each, though a file may be named twice or lie in two of the folders; and names that differ.
void Library::make_names_unique() {
  std::unordered_set<std::string> keys, names;
  std::vector<LibraryEntry> once;
  for (LibraryEntry& entry : entries_) {
    if (!keys.insert(entry.key).second) continue;
    const std::string name = entry.name;
    for (int n = 2; !names.insert(entry.name).second; ++n) entry.name = fmt::format("{} ({})", name, n);
    once.push_back(std::move(entry));
  }
  entries_ = std::move(once);
}

Result<Library> Library::open(const std::vector<fs::path>& named, const LibraryOptions& options) {
  Library library(options);
  for (const fs::path& one : named) QUERN_TRY(library.add(one, named.size() == 1));
  library.make_names_unique();
  if (library.notes_.size() > kMaxNotes) {
    const size_t more = library.notes_.size() - kMaxNotes;
    library.notes_.resize(kMaxNotes);
    library.notes_.push_back(fmt::format("and {} more files were left out", more));
  }
  return library;
}

ReadFile Library::read(const LibraryEntry& entry) const {
  ReadFile out;
  const auto content = roots_[entry.root].read(entry.path, options_.max_file + 1);
  if (!content || content->bytes.size() > options_.max_file) {
    out.note = entry.place + (content ? ": grew past the limit, left out" : ": cannot be read, left out");
    return out;
  }
  out.digest = sha256_hex(content->bytes);
  auto text = text_of(entry.path, content->bytes);
  if (!text) {
    out.note = fmt::format("{}: {}, left out", entry.place, text.error().message);
    return out;
  }
  if (text->replaced > 0) out.note = fmt::format("{}: {} bytes are not UTF-8 and were replaced", entry.place, text->replaced);
  if (text->text.find_first_not_of(" \t\n\v\f\r") == std::string::npos) {
    if (!content->bytes.empty()) out.note = entry.place + ": no text in it, left out";
    return out;
  }
  Document& document = out.document.emplace();
  document.name = entry.name;
  document.place = entry.place;
  document.content = std::move(*text);
  document.digest = out.digest;
  return out;
}

Result<PlainText> Library::text_of(const std::string& path, const std::string& bytes) const {
  switch (text_kind(path, bytes)) {
    case TextKind::binary:
      return fail(Errc::unsupported, "not text");
    case TextKind::html:
      return html_text(bytes);
    case TextKind::pdf: {
      if (!options_.pdf_text) return fail(Errc::unsupported, "PDF is not read here");
      QUERN_ASSIGN(const std::string pages, options_.pdf_text(bytes));
      return pdf_pages(pages);
    }
    case TextKind::text:
      break;
  }
  return plain_text(bytes);
}

}  // namespace quern
