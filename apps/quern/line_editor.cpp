#include "line_editor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <clocale>
#include <cstring>

#include "base/file.h"
#include "base/utf8.h"
#include "terminal.h"
#include "text/display.h"

namespace quern {
namespace {

constexpr int kHistoryLines = 1000;
constexpr size_t kMostHistoryBytes = 1 << 20, kMostPasteBytes = 4 << 20;
constexpr std::string_view kPasteOn = "\x1b[?2004h", kPasteOff = "\x1b[?2004l", kPasteEnd = "\x1b[201~";

std::string common_beginning(const std::vector<std::string>& words) {
  std::string common = words.front();
  for (const std::string& word : words)
    common.resize(
        static_cast<size_t>(std::mismatch(common.begin(), common.end(), word.begin(), word.end()).first - common.begin()));
  common.resize(complete_utf8_prefix(common));
  return common;
}

std::string paste_mark(size_t number, const std::string& text) {
  return fmt::format("[pasted {}: {} lines]", number, std::count(text.begin(), text.end(), '\n') + (text.ends_with('\n') ? 0 : 1));
}

}  // namespace

Result<std::unique_ptr<LineEditor>> LineEditor::create(LineEditorOptions options) {
  // Without a UTF-8 locale libedit would take each byte for a character.
  std::setlocale(LC_CTYPE, "");
  if (MB_CUR_MAX < 4) std::setlocale(LC_CTYPE, "C.UTF-8");
  std::unique_ptr<LineEditor> made(new LineEditor(std::move(options)));
  QUERN_ASSIGN(made->input_, LineInput::create(kPasteOff));
  made->editor_ = ::el_init("quern", stdin, stdout, stderr);
  made->history_ = ::history_init();
  if (!made->editor_ || !made->history_) return fail(Errc::io, "the terminal cannot be used for editing lines");
  made->bind();
  made->load_history();
  return made;
}

LineEditor::~LineEditor() {
  if (history_) ::history_end(history_);
  if (editor_) ::el_end(editor_);
}

LineEditor& LineEditor::of(EditLine* editor) {
  void* self = nullptr;
  ::el_get(editor, EL_CLIENTDATA, &self);
  return *static_cast<LineEditor*>(self);
}

char* LineEditor::prompt_of(EditLine* editor) { return of(editor).prompt_.data(); }

int LineEditor::next_key(EditLine* editor, wchar_t* key) { return of(editor).input_->next(editor, key); }

void LineEditor::bind() {
  ::el_set(editor_, EL_CLIENTDATA, this);
  ::el_set(editor_, EL_PROMPT_ESC, &LineEditor::prompt_of, '\1');
  ::el_set(editor_, EL_EDITOR, "emacs");
  ::el_set(editor_, EL_SIGNAL, 0);  // they are LineInput's
  ::el_set(editor_, EL_GETCFN, &LineEditor::next_key);
  HistEvent event{};
  ::history(history_, &event, H_SETSIZE, kHistoryLines);
  ::history(history_, &event, H_SETUNIQUE, 1);
  ::el_set(editor_, EL_HIST, ::history, history_);
  ::el_set(editor_, EL_ADDFN, "quern-paste", "Takes pasted text as one piece", &LineEditor::on_paste);
  ::el_set(editor_, EL_ADDFN, "quern-complete", "Completes the word", &LineEditor::on_complete);
  ::el_set(editor_, EL_BIND, "\x1b[200~", "quern-paste", nullptr);
  ::el_set(editor_, EL_BIND, "^I", "quern-complete", nullptr);
  ::el_set(editor_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  for (const auto& [key, what] : {std::pair("\x1b[1;5C", "em-next-word"),
                                  {"\x1b[1;5D", "ed-prev-word"},
                                  {"\x1b[3~", "ed-delete-next-char"},
                                  {"\x1b[H", "ed-move-to-beg"},
                                  {"\x1b[F", "ed-move-to-end"}})
    ::el_set(editor_, EL_BIND, key, what, nullptr);
}

void LineEditor::load_history() {
  if (options_.history.empty()) return;
  const auto text = read_file(options_.history, kMostHistoryBytes);
  if (!text) {  // too long: begun again; not there: begun
    std::error_code ignored;
    if (std::filesystem::is_regular_file(options_.history, ignored)) std::filesystem::remove(options_.history, ignored);
    return;
  }
  HistEvent event{};
  for (std::string_view left = *text; !left.empty();) {
    const size_t end = left.find('\n');
    const std::string line = visible_text(left.substr(0, end), Lines::join);
    if (!line.empty()) ::history(history_, &event, H_ENTER, line.c_str());
    left.remove_prefix(end == std::string_view::npos ? left.size() : end + 1);
  }
}

// Appended at once, so that several chats share the history and none loses it by being killed.
void LineEditor::remember(const std::string& line) {
  if (line.find_first_not_of(' ') == std::string::npos) return;
  HistEvent event{};
  ::history(history_, &event, H_ENTER, line.c_str());
  if (options_.history.empty() || line.find("[pasted ") != std::string::npos) return;
  std::error_code ignored;
  std::filesystem::create_directories(options_.history.parent_path(), ignored);
  const UniqueFd fd(::open(options_.history.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return;  // a history that cannot be kept is no reason to stop
  const std::string entry = line + "\n";
  if (::write(fd.get(), entry.data(), entry.size()) < 0) return;
}

std::string LineEditor::with_pastes(std::string line) const {
  for (size_t i = 0; i < pastes_.size(); ++i) {
    const std::string mark = paste_mark(i + 1, pastes_[i]);
    if (const size_t at = line.find(mark); at != std::string::npos) line.replace(at, mark.size(), pastes_[i]);
  }
  return line;
}

unsigned char LineEditor::on_paste(EditLine* editor, int) {
  std::string text;
  while (!text.ends_with(kPasteEnd)) {
    wchar_t c = 0;
    if (::el_wgetc(editor, &c) != 1) break;
    if (text.size() < kMostPasteBytes || c == L'~') append_utf8(text, static_cast<char32_t>(c));
  }
  if (text.ends_with(kPasteEnd)) text.resize(text.size() - kPasteEnd.size());
  std::replace(text.begin(), text.end(), '\r', '\n');
  text = visible_text(text);
  if (text.find('\n') == std::string::npos) {
    ::el_insertstr(editor, visible_text(text, Lines::join).c_str());
    return CC_REFRESH;
  }
  auto& pastes = of(editor).pastes_;
  pastes.push_back(std::move(text));
  ::el_insertstr(editor, paste_mark(pastes.size(), pastes.back()).c_str());
  return CC_REFRESH;
}

unsigned char LineEditor::on_complete(EditLine* editor, int) {
  LineEditor& self = of(editor);
  if (!self.options_.complete) return CC_ERROR;
  const LineInfo* info = ::el_line(editor);
  const std::string line(info->buffer, static_cast<size_t>(info->cursor - info->buffer));
  const size_t space = line.rfind(' ');
  const std::string word = space == std::string::npos ? line : line.substr(space + 1);
  const std::vector<std::string> words = self.options_.complete(line, word);
  if (words.empty()) return CC_ERROR;
  const std::string common = common_beginning(words);
  if (common.size() > word.size()) {
    ::el_insertstr(editor, common.substr(word.size()).c_str());
    return CC_REFRESH;
  }
  if (words.size() == 1) return CC_NORM;
  std::string list = "\n";
  for (const std::string& one : words) list += visible_text(one, Lines::join) + "  ";
  to_terminal(list + "\n");
  return CC_REDISPLAY;
}

LineEditor::Input LineEditor::read(std::string_view prompt, const std::string& prefilled) {
  // Pasted text is to be marked from the moment the terminal no longer edits lines itself: so that is asked for with the prompt. Between
  // two \1 stands what takes no room; libedit wants a character behind each such piece.
  const std::string_view last = prompt.substr(prompt.size() - 1);
  prompt_ = fmt::format("\1{}{}\1{}{}{}", kPasteOn, options_.coloured ? "\x1b[1;34m" : "", prompt.substr(0, prompt.size() - 1),
                        options_.coloured ? "\1\x1b[0m\1" : "", last);
  pastes_.clear();
  input_->begin();
  // Before the prompt is there: a Ctrl-D that the terminal still took for itself would be lost.
  ::el_set(editor_, EL_PREP_TERM, 1);
  if (!prefilled.empty()) ::el_push(editor_, prefilled.c_str());
  int length = 0;
  const char* line = ::el_gets(editor_, &length);
  to_terminal(kPasteOff);
  if (input_->end()) {
    ::el_reset(editor_);
    to_terminal("^C\n");
    return {Outcome::interrupted, {}};
  }
  if (!line || length <= 0) return {Outcome::end, {}};
  std::string text(line, static_cast<size_t>(length));
  while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
  remember(text);
  return {Outcome::line, with_pastes(std::move(text))};
}

}  // namespace quern
