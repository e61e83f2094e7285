// What of the documents a model reads for a question: all of them where they fit its context, else the pieces that a search finds.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/documents/answer_model.h"
#include "agent/documents/library.h"
#include "agent/documents/quotes.h"
#include "agent/documents/search_index.h"

namespace quern {

struct ReadingOptions {
  std::string question;
  int64_t max_tokens = 1024;    // kept free for the answer
  size_t chunks = 0;            // > 0: search, and read at most this many pieces
  std::filesystem::path index;  // empty: an index in memory
  // stage: "reading", "indexing"; false cancels (denied).
  std::function<bool(std::string_view stage, double done, double total)> on_progress;
};

struct Reading {
  std::vector<Document> documents;  // those of which something is shown
  std::vector<QuotedSource> shown;  // of documents, by index; parts in order, never touching
  bool whole = false;               // all there is
  size_t chunks = 0;                // pieces found and shown; 0: whole
  int64_t prompt_tokens = 0;
  Conversation conversation;
  IndexWork index;
  std::vector<std::string> notes;
};

// Errors: out_of_range (the question alone fills the context), not_found (no document that can be read), io.
Result<Reading> read_for(const Library& library, const AnswerModel& model, const ReadingOptions& options);

// The prompt: documents as untrusted text between marks that no document can know, then the question.
Conversation question_about(const std::vector<QuotedSource>& shown, std::string_view question);

}  // namespace quern
