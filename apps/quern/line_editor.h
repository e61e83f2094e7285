// Lines from somebody at a terminal: editing, a history that is kept, completion, and text that is pasted as one piece (libedit).
#pragma once

#include <histedit.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "line_input.h"

namespace quern {

struct LineEditorOptions {
  std::filesystem::path history;  // a file only its owner may read; empty: none is kept
  // What the word that ends at the cursor may become: whole words, each with what stands behind it (a space, or '/' of a folder).
  std::function<std::vector<std::string>(std::string_view line, std::string_view word)> complete;
  bool coloured = false;
};

// There is one at a time: signal handling belongs to the process.
class LineEditor {
 public:
  // io: there is no terminal that libedit could use.
  static Result<std::unique_ptr<LineEditor>> create(LineEditorOptions options);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  enum class Outcome { line, interrupted, end };  // Ctrl-C; Ctrl-D on an empty line, or the terminal is gone
  struct Input {
    Outcome outcome = Outcome::end;
    std::string text;  // without its line end; pasted text has line ends of its own
  };
  // prompt: ends in a space. prefilled: text that stands there already and can be edited.
  Input read(std::string_view prompt, const std::string& prefilled = {});

 private:
  explicit LineEditor(LineEditorOptions options) : options_(std::move(options)) {}
  static LineEditor& of(EditLine* editor);
  static char* prompt_of(EditLine* editor);
  static int next_key(EditLine* editor, wchar_t* key);
  static unsigned char on_paste(EditLine* editor, int key);
  static unsigned char on_complete(EditLine* editor, int key);

  void bind();
  void load_history();
  void remember(const std::string& line);
  std::string with_pastes(std::string line) const;

  LineEditorOptions options_;
  std::unique_ptr<LineInput> input_;
  EditLine* editor_ = nullptr;
  History* history_ = nullptr;
  std::string prompt_;
  std::vector<std::string> pastes_;  // "[pasted 2: 14 lines]" on the line stands for the second
};

}  // namespace quern
