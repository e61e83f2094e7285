// A question about documents as a model reads it: the instruction, and the marks that each document stands between. One place, so that
// `quern ask` (agent/documents) and the episodes that teach it (eval/families) speak alike to the letter.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace quern::document_prompt {

extern const std::string_view kInstruction;  // the system prompt

// The mark of these documents, given as a line "NAME\nDIGEST\n" each: the same for the same documents, and none of them can foresee it.
std::string mark_for(std::string_view names_and_digests);
void begin_document(std::string& out, std::string_view mark, std::string_view name);
// A part of the document; line: where it begins, for one that does not begin the document, else 0.
void add_part(std::string& out, std::string_view text, int64_t line, bool pages);
void end_document(std::string& out, std::string_view mark, bool cut);
std::string question(std::string_view question);  // behind the documents

}  // namespace quern::document_prompt
