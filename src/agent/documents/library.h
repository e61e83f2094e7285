// Library: the documents a question is asked of. Folders are walked, files are read, each as text, and what is left out is said
// why. Everything below a folder is resolved beneath it (RootFolder): no link leads out of it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "agent/documents/plain_text.h"
#include "agent/tools/root_folder.h"

namespace quern {

struct LibraryOptions {
  bool all = false;                    // hidden files and those of .gitignore and .ignore too
  size_t max_file = size_t{16} << 20;  // bytes
  size_t max_files = 20'000;
  // A PDF's bytes as pdftotext writes them; empty: PDF files are left out.
  std::function<Result<std::string>(const std::string& bytes)> pdf_text;
};

struct LibraryEntry {
  size_t root = 0;
  std::string path;   // in the root
  std::string name;   // what answers call it: unique, printable
  std::string place;  // what a person opens: the folder as it was named, and the path
  std::string key;    // unique, the same in the next run
  size_t size = 0;
  int64_t modified_ns = 0;
};

struct Document {
  std::string name, place;
  PlainText content;
  std::string digest;  // SHA-256 of the file's bytes
};

// What came of reading a file: a document, or why there is none.
struct ReadFile {
  std::optional<Document> document;
  std::string digest;  // empty: could not be read
  std::string note;
};

// May be moved between threads, not shared.
class Library {
 public:
  // Files and folders. Errors: not_found, io; invalid_argument where a name is neither.
  static Result<Library> open(const std::vector<std::filesystem::path>& named, const LibraryOptions& options);

  const std::vector<LibraryEntry>& entries() const { return entries_; }  // in the order of the names given, then sorted by path
  const std::vector<std::string>& notes() const { return notes_; }       // a line for whatever was left out without being read
  ReadFile read(const LibraryEntry& entry) const;

 private:
  struct Walk;
  explicit Library(LibraryOptions options) : options_(std::move(options)) {}
  Result<void> add(const std::filesystem::path& named, bool alone);
  void make_names_unique();
  Result<PlainText> text_of(const std::string& path, const std::string& bytes) const;

  LibraryOptions options_;
  std::vector<RootFolder> roots_;
  std::vector<LibraryEntry> entries_;
  std::vector<std::string> notes_;
};

}  // namespace quern
