#include "agent/report/run_report.h"

#include <algorithm>

#include "agent/report/call_line.h"
#include "agent/report/report_style.h"
#include "base/utf8.h"
#include "eval/markup.h"
#include "text/display.h"

namespace quern {
namespace {

constexpr size_t kMostRows = 300, kMostTitleBytes = 300, kMostOpenDiffLines = 60;

const std::string& text_of(const Json& event, std::string_view key) {
  static const std::string empty;
  const Json* member = event.find(key);
  return member && member->is_string() ? member->as_string() : empty;
}

std::string_view span_name(RunSpan::Kind kind) {
  constexpr std::string_view names[] = {"reading", "writing", "waiting", "tool", "check"};
  return names[static_cast<size_t>(kind)];
}

// What stands on one line.
std::string line_text(std::string_view text) { return escaped(visible_text(text, Lines::join)); }

std::string seconds_text(double s) {
  if (s < 0.0995) return fmt::format("{:.0f} ms", 1000 * s);
  if (s < 99.95) return fmt::format("{:.1f} s", s);
  const auto whole = static_cast<int64_t>(s + 0.5);
  return whole < 3600 ? fmt::format("{} min {:02} s", whole / 60, whole % 60)
                      : fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

// 12345678 -> "12,345,678"; of anything with a fraction, two digits of it.
std::string number_of(const Json& number) {
  const auto whole = number.to_int64();
  if (!whole) return fmt::format("{:.2f}", number.as_double());
  std::string digits = std::to_string(*whole);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > (*whole < 0 ? 1 : 0); at -= 3)
    digits.insert(static_cast<size_t>(at), ",");
  return digits;
}

class Report {
 public:
  explicit Report(const RunRecord& record) : r_(record) {}

  std::string page() {
    out_ = kReportHead;
    out_ += fmt::format("<title>{}: {}</title>\n</head>\n<body>\n", line_text(name()), status());
    header();
    tiles();
    if (const std::string& answer = text_of(r_.end, "answer"); !answer.empty())
      out_ += fmt::format("<h2>Answer</h2>\n<div class=\"answer text\">{}</div>\n", text(answer));
    timeline();
    steps();
    changes();
    out_ +=
        "<footer>Written by quern. This page is complete in itself: it loads nothing from anywhere.</footer>\n</body>\n</html>\n";
    return std::move(out_);
  }

 private:
  std::string name() const { return r_.name.empty() ? "quern run" : r_.name; }

  std::string status() const {
    const std::string& status = text_of(r_.end, "status");
    for (const std::string_view known : {"success", "failed", "cancelled"})
      if (status == known) return status;
    return "unknown";
  }

  // Text between tags, cut where it is too much for one page.
  std::string text(std::string_view whole) const {
    const size_t most = out_.size() < kMostPageBytes ? kMostTextBytes : 1 << 10;
    if (whole.size() <= most) return report_text(whole);
    const std::string_view shown = whole.substr(0, complete_utf8_prefix(whole.substr(0, most)));
    return report_text(shown) + fmt::format("\n[cut here: {} of {} bytes are shown]", shown.size(), whole.size());
  }

  void fact(std::string_view term, std::string_view value) {
    if (!value.empty()) out_ += fmt::format("<dt>{}</dt><dd>{}</dd>\n", term, text(value));
  }

  void header() {
    const std::string state = status();
    out_ += fmt::format("<header>\n<h1>{}<span class=\"badge {}\">{}</span></h1>\n", line_text(name()), state,
                        state == "unknown" ? "no end recorded" : state);
    if (const std::string& reason = text_of(r_.end, "reason"); !reason.empty())
      out_ += fmt::format("<p class=\"reason text {}\">{}</p>\n", state, text(reason));
    if (!r_.task.empty()) out_ += fmt::format("<div class=\"task text\">{}</div>\n", text(r_.task));
    out_ += "<dl class=\"facts\">\n";
    fact("model", r_.model);
    fact("folder", r_.root);
    fact("started", r_.started);
    if (const std::string& check = text_of(r_.end, "check"); !check.empty()) fact("check", check);
    out_ += "</dl>\n</header>\n";
  }

  void tile(std::string_view value, std::string_view what) {
    out_ += fmt::format("<div class=\"tile\"><b>{}</b><span>{}</span></div>\n", value, escaped(what));
  }
  // A total of the end event, where it has it.
  void total(std::string_view key, std::string_view what, bool also_none = true) {
    const Json* value = r_.end.find(key);
    if (value && value->is_number() && (also_none || value->as_double() > 0)) tile(number_of(*value), what);
  }

  void tiles() {
    out_ += "<div class=\"tiles\">\n";
    tile(seconds_text(r_.seconds), "in all");
    if (r_.end.is_null()) tile(std::to_string(r_.calls.size()), "calls");
    total("turns", "turns");
    total("calls", "calls");
    total("errors", "errors", false);
    total("refused", "refused", false);
    total("changes", "changes made");
    total("tokens", "tokens written");
    total("prompt_tokens", "tokens in prompts");
    if (const Json* speed = r_.end.find("tokens_per_s"); speed && speed->is_number())
      tile(fmt::format("{:.1f}", speed->as_double()), "tokens/s");
    for (const char* key : {"cost", "cost_units"})
      if (const Json* cost = r_.end.find(key)) {
        if (cost->is_number() && cost->as_double() > 0) tile(number_of(*cost), "cost units");
      }
    out_ += "</div>\n";
  }

  // Positions are thousandths of the run. A bar is stretched to the width there is, so it holds no text.
  std::string bar(const std::vector<RunSpan>& spans, std::string_view kind) const {
    const double whole = std::max(r_.seconds, 1e-9);
    std::string svg =
        fmt::format("<svg class=\"{}\" viewBox=\"0 0 1000 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\">", kind);
    for (const RunSpan& span : spans) {
      if (span.end <= span.begin) continue;
      const double from = 1000 * std::min(span.begin / whole, 1.0), to = 1000 * std::min(span.end / whole, 1.0);
      svg +=
          fmt::format("<rect class=\"{0}\" x=\"{1:.2f}\" y=\"0\" width=\"{2:.2f}\" height=\"10\"><title>{0}: {3}</title></rect>",
                      span_name(span.kind), std::min(from, 998.5), std::max(to - from, 1.5), seconds_text(span.end - span.begin));
    }
    return svg + "</svg>";
  }

  void timeline() {
    if (r_.rows.empty()) return;
    out_ += "<h2>Where the time went</h2>\n<p class=\"soft\">";
    constexpr std::string_view names[] = {"model reads", "model writes", "waiting for a confirmation", "tools", "check"};
    for (const auto kind :
         {RunSpan::Kind::reading, RunSpan::Kind::writing, RunSpan::Kind::waiting, RunSpan::Kind::tool, RunSpan::Kind::check})
      if (const double s = r_.seconds_of[static_cast<size_t>(kind)]; s > 0)
        out_ += fmt::format("<span class=\"key\"><i class=\"{}\"></i>{} {}</span> ", span_name(kind),
                            names[static_cast<size_t>(kind)], seconds_text(s));
    std::vector<RunSpan> all;
    for (const RunRow& row : r_.rows) all.insert(all.end(), row.spans.begin(), row.spans.end());
    if (all.size() > 4 * kMostRows) all.resize(4 * kMostRows);
    out_ += "</p>\n" + bar(all, "whole") + "\n<div>\n";
    for (size_t i = 0; i < std::min(r_.rows.size(), kMostRows); ++i) timeline_row(r_.rows[i]);
    out_ += "</div>\n";
    if (r_.rows.size() > kMostRows)
      out_ += fmt::format("<p class=\"soft\">Only the first {} of {} rows are drawn.</p>\n", kMostRows, r_.rows.size());
  }

  void timeline_row(const RunRow& row) {
    double length = 0;
    for (const RunSpan& span : row.spans) length += span.end - span.begin;
    if (row.call) {
      const RunCall& call = r_.calls[*row.call];
      out_ +=
          fmt::format("<div class=\"row\"><a class=\"label\" href=\"#call-{}\">{} {}</a>", *row.call + 1, call.number, title(call));
    } else {
      out_ += fmt::format("<div class=\"row\"><span class=\"label\">{}</span>", line_text(row.label));
    }
    out_ += fmt::format("{}<span class=\"time\">{}</span></div>\n", bar(row.spans, "part"), seconds_text(length));
  }

  static std::string title(const RunCall& call) {
    const std::string line = call_line(call.name, call.arguments);
    if (line.size() <= kMostTitleBytes) return escaped(line);
    return escaped(line.substr(0, complete_utf8_prefix(std::string_view(line).substr(0, kMostTitleBytes)))) + "…";
  }

  void steps() {
    if (r_.entries.empty()) return;
    out_ += "<h2>What happened</h2>\n";
    for (const RunEntry& entry : r_.entries) step(entry);
  }

  void step(const RunEntry& entry) {
    switch (entry.kind) {
      case RunEntry::Kind::part: {
        const size_t line = entry.text.find('\n');
        out_ += fmt::format("<h3>{}</h3>\n<div class=\"task text\">{}</div>\n", text(entry.text.substr(0, line)),
                            text(entry.text.substr(line + 1)));
        return;
      }
      case RunEntry::Kind::thinking:
        out_ += fmt::format("<details><summary><span class=\"what\">thinking</span></summary>\n<pre>{}</pre></details>\n",
                            text(entry.text));
        return;
      case RunEntry::Kind::say:
        out_ += fmt::format("<div class=\"say text\">{}</div>\n", text(entry.text));
        return;
      case RunEntry::Kind::note:
        out_ += fmt::format("<p class=\"soft text\">{}</p>\n", text(entry.text));
        return;
      case RunEntry::Kind::check:
        out_ += fmt::format(
            "<details{}><summary><span class=\"what\">the task's check</span><span class=\"how {}\">{}</span></summary>\n<pre>{}</pre></details>\n",
            entry.passed ? "" : " open", entry.passed ? "passed" : "failed", entry.passed ? "passed" : "failed",
            entry.text.empty() ? "(it printed nothing)" : text(entry.text));
        return;
      case RunEntry::Kind::call:
        return call(entry.call);
    }
  }

  void call(size_t index) {
    const RunCall& call = r_.calls[index];
    const std::string_view outcome = !call.has_result ? "no result"
                                     : call.malformed ? "no valid call"
                                     : refused(call)  ? "refused"
                                     : call.is_error  ? "error"
                                                      : "";
    out_ += fmt::format("<details id=\"call-{}\"><summary><span class=\"number\">{}</span><span class=\"what\">{}</span>",
                        index + 1, call.number, title(call));
    out_ += fmt::format("<span class=\"how{}\">{}{}{}</span></summary>\n", outcome.empty() ? "" : " failed", outcome,
                        outcome.empty() ? "" : " · ", seconds_text(call.seconds));
    arguments(call);
    if (!call.warning.empty()) out_ += fmt::format("<p class=\"soft text\">{}</p>\n", text(call.warning));
    for (const RunCall::Decision& decision : call.decisions)
      out_ += fmt::format("<p class=\"soft\">{}: {}{}</p>\n", decision.allowed ? "confirmed" : "refused", text(decision.reason),
                          decision.seconds >= 0.05 ? ", after " + seconds_text(decision.seconds) : "");
    if (call.has_result) {
      out_ += fmt::format("<p class=\"soft\">result</p>\n<pre{}>{}</pre>\n", call.is_error ? " class=\"failed\"" : "",
                          call.result.empty() ? "(empty)" : text(call.result));
    }
    out_ += "</details>\n";
  }

  static bool refused(const RunCall& call) { return !call.decisions.empty() && !call.decisions.back().allowed; }

  void arguments(const RunCall& call) {
    if (!call.arguments.is_object()) {
      if (!call.arguments.is_null())
        out_ += fmt::format("<pre>{}</pre>\n",
                            text(call.arguments.is_string() ? call.arguments.as_string() : call.arguments.dump_indented()));
      return;
    }
    if (call.arguments.size() == 0) return;
    out_ += "<table>\n";
    for (const auto& [key, value] : call.arguments.as_object())
      out_ += fmt::format("<tr><th scope=\"row\">{}</th><td><pre>{}</pre></td></tr>\n", text(key),
                          text(value.is_string() ? value.as_string() : value.dump_indented()));
    out_ += "</table>\n";
  }

  void changes() {
    if (!r_.changes_recorded) return;
    out_ += fmt::format("<h2>Changed files{}</h2>\n", r_.changes.empty() ? "" : fmt::format(" ({})", r_.changes.size()));
    if (r_.changes.empty()) out_ += "<p>No file was changed.</p>\n";
    for (const FileChange& change : r_.changes) file(change);
    if (!r_.changes_complete)
      out_ +=
          "<p class=\"soft\">The folder was too large to be looked at as a whole: changes elsewhere than in files the calls name may be missing.</p>\n";
  }

  void file(const FileChange& change) {
    const auto lines = static_cast<size_t>(std::count(change.diff.begin(), change.diff.end(), '\n'));
    std::string what = line_text(change.path);
    if (!change.from.empty()) what = line_text(change.from) + " → " + what;
    std::string how(FileChange::kind_name(change.kind));
    if (change.added + change.removed > 0)
      how += fmt::format(" <span class=\"plus\">+{}</span> <span class=\"minus\">−{}</span>", change.added, change.removed);
    const bool open = lines > 0 && lines <= kMostOpenDiffLines && r_.changes.size() <= 10;
    out_ += fmt::format("<details{}><summary><span class=\"what\">{}</span><span class=\"how\">{}</span></summary>\n",
                        open ? " open" : "", what, how);
    if (!change.diff.empty()) diff(change.diff);
    const std::string_view nothing = change.kind == FileChange::Kind::moved ? "The content is the same." : "It is empty.";
    if (!change.note.empty() || change.diff.empty())
      out_ += fmt::format("<p class=\"soft\">{}</p>\n", change.note.empty() ? std::string(nothing) : text(change.note));
    out_ += "</details>\n";
  }

  void diff(std::string_view hunks) {
    const size_t most = out_.size() < kMostPageBytes ? 4 * kMostTextBytes : 1 << 10;
    const bool cut = hunks.size() > most;
    if (cut) hunks = hunks.substr(0, complete_utf8_prefix(hunks.substr(0, most)));
    out_ += "<pre class=\"diff\">";
    while (!hunks.empty()) {
      const size_t end = hunks.find('\n');
      const std::string_view line = hunks.substr(0, end);
      const char mark = line.empty() ? ' ' : line[0];
      const std::string_view kind = mark == '+' ? "a" : mark == '-' ? "r" : mark == '@' || mark == '\\' ? "h" : "k";
      out_ += fmt::format("<span class=\"{}\">{}</span>", kind,
                          line.size() > 1 ? report_text(line)
                          : line.empty()  ? " "
                                          : std::string(line));
      hunks.remove_prefix(end == std::string_view::npos ? hunks.size() : end + 1);
    }
    if (cut) out_ += "<span class=\"h\">[cut here]</span>";
    out_ += "</pre>\n";
  }

  const RunRecord& r_;
  std::string out_;
};

}  // namespace

std::string report_text(std::string_view text) {
  const std::string visible = visible_text(text);
  std::string out;
  for (size_t at = 0; at < visible.size();) {
    const size_t end = std::min(visible.size(), visible.find_first_of("\n\t", at));
    out += escaped(std::string_view(visible).substr(at, end - at));
    if (end < visible.size()) out += visible[end];
    at = end + 1;
  }
  return out;
}

std::string run_report(const RunRecord& record) { return Report(record).page(); }

}  // namespace quern
