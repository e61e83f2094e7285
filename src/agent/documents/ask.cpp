#include "agent/documents/ask.h"

#include <algorithm>

#include "agent/documents/answer_reader.h"
#include "constrain/quoted_answer.h"

namespace quern {
namespace {

Result<std::unique_ptr<Machine>> constraint_for(const Reading& reading, const AskOptions& options, bool thinking) {
  QuotedAnswerOptions quoted{
      .verbatim = options.verbatim, .thinking = thinking, .max_quotes = options.max_quotes, .max_quote = options.max_quote};
  for (const QuotedSource& source : reading.shown) {
    QuotedAnswerOptions::Document document{.name = source.document->name, .passages = {}};
    for (const auto& [begin, end] : source.shown)
      document.passages.push_back(std::string_view(source.document->content.text).substr(begin, end - begin));
    quoted.documents.push_back(std::move(document));
  }
  return compile_quoted_answer(quoted);
}

std::string place_text(const CheckedQuote& quote) {
  std::string place = quote.place.empty() ? quote.quote.document + " (no such document)" : quote.place;
  if (quote.first_line > 0) {
    place += fmt::format("{}{}", quote.pages ? ", page " : ":", quote.first_line);
    if (quote.last_line > quote.first_line) place += fmt::format("-{}", quote.last_line);
  }
  return place;
}

// The quote on one line, its middle left out where it is long.
std::string shortened(std::string_view text) {
  std::string line;
  for (const char c : text) {
    const bool space = c == ' ' || (c >= 9 && c <= 13);
    if (!space)
      line += c;
    else if (!line.empty() && line.back() != ' ')
      line += ' ';
  }
  constexpr size_t kHead = 160, kTail = 60;
  if (line.size() <= kHead + kTail + 10) return line;
  size_t head = kHead, tail = line.size() - kTail;
  while ((static_cast<unsigned char>(line[head]) & 0xC0) == 0x80) --head;
  while ((static_cast<unsigned char>(line[tail]) & 0xC0) == 0x80) ++tail;
  return line.substr(0, head) + " … " + line.substr(tail);
}

}  // namespace

bool QuotedAnswer::checks() const {
  return complete && !quotes.empty() && dangling.empty() &&
         std::all_of(quotes.begin(), quotes.end(), [](const CheckedQuote& quote) { return quote.stands(); });
}

Result<QuotedAnswer> ask(const Library& library, AnswerModel& model, const AskOptions& options, const AskEvents& events,
                         Reading& reading) {
  QUERN_ASSIGN(reading, read_for(library, model, options.reading));
  if (events.on_read) events.on_read(reading);
  const bool thinking = model.format() == ChatFormat::thinking;
  QUERN_ASSIGN(auto constraint, constraint_for(reading, options, thinking));
  AnswerReader reader(thinking);
  size_t begun = 0;
  AnswerEvents during{.on_prefill = events.on_prefill, .on_text = {}};
  during.on_text = [&](std::string_view text) {
    const std::string said = reader.push(text);
    if (reader.quotes_begun() > begun && events.on_quote) events.on_quote(begun = reader.quotes_begun());
    return said.empty() || !events.on_answer || events.on_answer(said);
  };
  QuotedAnswer answer;
  QUERN_ASSIGN(answer.reply, model.answer(reading.conversation, std::move(constraint), options.reading.max_tokens, during));
  AnswerReader::Answer read = reader.finish();
  answer.text = std::move(read.text);
  answer.complete = read.complete && answer.reply.finish == FinishReason::stop;
  for (const Quote& quote : read.quotes) answer.quotes.push_back(check_quote(quote, reading.shown));
  answer.dangling = dangling_references(answer.text, answer.quotes.size());
  return answer;
}

Json answer_json(const QuotedAnswer& answer, const Reading& reading) {
  Json out = Json::object(), quotes = Json::array(), dangling = Json::array(), context = Json::object(), sources = Json::array();
  Json notes = Json::array(), timings = Json::object();
  for (size_t i = 0; i < answer.quotes.size(); ++i) {
    const CheckedQuote& checked = answer.quotes[i];
    Json quote = Json::object();
    quote["number"] = static_cast<int64_t>(i + 1);
    if (const auto first = repeated_quote(answer.quotes, i)) quote["same_as"] = static_cast<int64_t>(*first + 1);
    quote["document"] = checked.quote.document;
    quote["text"] = checked.quote.text;
    quote["status"] = quote_status_name(checked.status);
    quote["file"] = checked.place.empty() ? Json() : Json(checked.place);
    quote[checked.pages ? "page" : "line"] = checked.first_line > 0 ? Json(static_cast<int64_t>(checked.first_line)) : Json();
    quote[checked.pages ? "last_page" : "last_line"] =
        checked.last_line > 0 ? Json(static_cast<int64_t>(checked.last_line)) : Json();
    quotes.push_back(std::move(quote));
  }
  for (const int64_t number : answer.dangling) dangling.push_back(number);
  for (const QuotedSource& source : reading.shown) sources.push_back(source.document->place);
  for (const std::string& note : reading.notes) notes.push_back(note);
  context["whole"] = reading.whole;
  context["chunks"] = static_cast<int64_t>(reading.chunks);
  context["prompt_tokens"] = reading.prompt_tokens;
  context["documents"] = std::move(sources);
  timings["prefill_s"] = answer.reply.prefill_s;
  timings["decode_s"] = answer.reply.decode_s;
  timings["constrain_s"] = answer.reply.constrain_s;
  out["answer"] = answer.text;
  out["checked"] = answer.checks();
  out["complete"] = answer.complete;
  out["quotes"] = std::move(quotes);
  out["dangling_references"] = std::move(dangling);
  out["context"] = std::move(context);
  out["tokens"] = answer.reply.tokens;
  out["notes"] = std::move(notes);
  out["timings"] = std::move(timings);
  return out;
}

std::string terminal_text(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto u = static_cast<unsigned char>(text[i]);
    const bool c1 = u == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0;  // CSI and its like
    if (c1)
      out += fmt::format("\\x{:02x}", static_cast<unsigned>(static_cast<unsigned char>(text[++i])));
    else if ((u < 0x20 && u != '\n' && u != '\t') || u == 0x7F)
      out += fmt::format("\\x{:02x}", static_cast<unsigned>(u));
    else
      out += text[i];
  }
  return out;
}

std::string quotes_text(const QuotedAnswer& answer, const AnswerStyle& style) {
  const auto colored = [&](std::string_view code, std::string text) {
    return style.color ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : text;
  };
  std::string out;
  if (!answer.quotes.empty()) out += "\nQuotes:\n";
  size_t different = 0, wrong = 0;
  for (size_t i = 0; i < answer.quotes.size(); ++i) {
    if (repeated_quote(answer.quotes, i)) continue;  // it stands with the first of them
    const CheckedQuote& quote = answer.quotes[i];
    ++different;
    wrong += quote.stands() ? 0 : 1;
    std::string numbers = fmt::format("{}", i + 1);
    for (size_t k = i + 1; k < answer.quotes.size(); ++k)
      if (repeated_quote(answer.quotes, k) == i) numbers += fmt::format(", {}", k + 1);
    const std::string status(quote_status_name(quote.status));
    out += fmt::format("  [{}] {}  ", numbers, colored("1", terminal_text(place_text(quote))));
    out += quote.stands() ? colored("32", status) : colored("1;31", "WRONG: " + status);
    out += fmt::format("\n      \"{}\"\n", terminal_text(shortened(quote.quote.text)));
  }
  std::vector<std::string> marks;
  if (!answer.complete) marks.emplace_back("the answer is cut off");
  if (answer.quotes.empty()) marks.emplace_back("no quotes: nothing in this answer has been checked");
  if (wrong > 0) marks.push_back(fmt::format("{} of {} quotes are not in the document they name", wrong, different));
  for (const int64_t number : answer.dangling) marks.push_back(fmt::format("[{}] refers to no quote", number));
  if (!marks.empty()) out += "\n";
  for (const std::string& mark : marks) out += colored("1;31", "NOT CHECKED: " + mark) + "\n";
  return out;
}

}  // namespace quern
