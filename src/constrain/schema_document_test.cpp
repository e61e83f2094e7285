#include "constrain/schema_document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

namespace quern {
namespace {

using testing::HasSubstr;

// The examples of RFC 3986, sections 5.4.1 and 5.4.2.
TEST(ResolveUri, FollowsTheExamplesOfItsStandard) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"g:h", "g:h"},
      {"g", "http://a/b/c/g"},
      {"./g", "http://a/b/c/g"},
      {"g/", "http://a/b/c/g/"},
      {"/g", "http://a/g"},
      {"//g", "http://g"},
      {"?y", "http://a/b/c/d;p?y"},
      {"g?y", "http://a/b/c/g?y"},
      {"#s", "http://a/b/c/d;p?q#s"},
      {"g#s", "http://a/b/c/g#s"},
      {"g?y#s", "http://a/b/c/g?y#s"},
      {";x", "http://a/b/c/;x"},
      {"g;x", "http://a/b/c/g;x"},
      {"g;x?y#s", "http://a/b/c/g;x?y#s"},
      {"", "http://a/b/c/d;p?q"},
      {".", "http://a/b/c/"},
      {"./", "http://a/b/c/"},
      {"..", "http://a/b/"},
      {"../", "http://a/b/"},
      {"../g", "http://a/b/g"},
      {"../..", "http://a/"},
      {"../../", "http://a/"},
      {"../../g", "http://a/g"},
      {"../../../g", "http://a/g"},
      {"../../../../g", "http://a/g"},
      {"/./g", "http://a/g"},
      {"/../g", "http://a/g"},
      {"g.", "http://a/b/c/g."},
      {".g", "http://a/b/c/.g"},
      {"g..", "http://a/b/c/g.."},
      {"..g", "http://a/b/c/..g"},
      {"./../g", "http://a/b/g"},
      {"./g/.", "http://a/b/c/g/"},
      {"g/./h", "http://a/b/c/g/h"},
      {"g/../h", "http://a/b/c/h"},
      {"g;x=1/./y", "http://a/b/c/g;x=1/y"},
      {"g;x=1/../y", "http://a/b/c/y"},
      {"g?y/./x", "http://a/b/c/g?y/./x"},
      {"g?y/../x", "http://a/b/c/g?y/../x"},
      {"g#s/./x", "http://a/b/c/g#s/./x"},
      {"g#s/../x", "http://a/b/c/g#s/../x"},
      {"http:g", "http:g"},
  };
  for (const auto& [reference, want] : cases) EXPECT_EQ(resolve_uri("http://a/b/c/d;p?q", reference), want) << reference;
}

TEST(ResolveUri, WorksWithoutAnAbsoluteBase) {
  EXPECT_EQ(resolve_uri("", "a.json"), "a.json");
  EXPECT_EQ(resolve_uri("", "#/a"), "#/a");
  EXPECT_EQ(resolve_uri("folder/a.json", "b.json#x"), "folder/b.json#x");
  EXPECT_EQ(resolve_uri("/folder/a.json", "../b.json"), "/b.json");
  EXPECT_EQ(resolve_uri("http://host", "a"), "http://host/a");
  EXPECT_EQ(resolve_uri("http://host/a#old", "#new"), "http://host/a#new");
  EXPECT_EQ(resolve_uri("urn:uuid:1", "#a"), "urn:uuid:1#a");
  EXPECT_EQ(resolve_uri("a", ""), "a");
}

class SchemaDocumentTest : public testing::Test {
 protected:
  SchemaDocument& read(std::string_view text) {
    auto json = Json::parse(text, "schema");
    EXPECT_TRUE(json) << json.error().message;
    refusal = {};
    document = std::make_unique<SchemaDocument>(*json, refusal);
    return *document;
  }
  // What the reference of the root, or of the value at a pointer, leads to: its "title"; or why not.
  std::string title(std::string_view reference, std::string_view from = "#") {
    std::string reason;
    const SchemaId start = document->resolve(document->root(), from, reason);
    EXPECT_NE(start, 0) << reason;
    if (start == 0) return "";
    const SchemaId id = document->resolve(start, reference, reason);
    if (id == 0) {
      EXPECT_FALSE(reason.empty());
      EXPECT_EQ(reason.find('\n'), std::string::npos);
      return reason;
    }
    if (document->json(id).is_bool()) return document->json(id).dump();
    const Json* name = document->json(id).find("title");
    return name ? name->as_string() : "untitled";
  }

  Refusal refusal;
  std::unique_ptr<SchemaDocument> document;
};

TEST_F(SchemaDocumentTest, FollowsJsonPointers) {
  read(
      R"({"title": "root", "$defs": {"a": {"title": "a"}, "x/y": {"title": "slash"}, "x~y": {"title": "tilde"}, "~1": {"title": "both"},
           "p%q r\"é": {"title": "odd"}, "": {"title": "nameless", "$defs": {"": {"title": "deeper"}}}, "no": false},
           "allOf": [{"title": "first"}, {"title": "second"}], "properties": {"0": {"title": "zero"}}})");
  EXPECT_EQ(title("#"), "root");
  EXPECT_EQ(title(""), "root");
  EXPECT_EQ(title("#/$defs/a"), "a");
  EXPECT_EQ(title("#/%24defs/a"), "a");
  EXPECT_EQ(title("#/$defs/x~1y"), "slash");
  EXPECT_EQ(title("#/$defs/x~0y"), "tilde");
  EXPECT_EQ(title("#/$defs/~01"), "both");
  EXPECT_EQ(title("#/$defs/p%25q%20r%22%C3%A9"), "odd");
  EXPECT_EQ(title("#/$defs/"), "nameless");
  EXPECT_EQ(title("#/$defs//$defs/"), "deeper");
  EXPECT_EQ(title("#/allOf/1"), "second");
  EXPECT_EQ(title("#/properties/0"), "zero");
  EXPECT_EQ(title("#/$defs/no"), "false");
}

TEST_F(SchemaDocumentTest, SaysWhereAReferenceLeadsToNothing) {
  read(R"({"title": "root", "$id": "http://x/root.json", "$defs": {"a": {"title": "a"}}, "allOf": [{}]})");
  EXPECT_THAT(title("#/$defs/b"), HasSubstr("/$defs/b"));
  EXPECT_THAT(title("#/allOf/1"), HasSubstr("/allOf/1"));
  EXPECT_THAT(title("#/allOf/-"), HasSubstr("/allOf/-"));
  EXPECT_THAT(title("#/allOf/99999999999999999999"), HasSubstr("nothing at"));
  EXPECT_THAT(title("#/title/0"), HasSubstr("nothing at"));
  EXPECT_THAT(title("#a"), HasSubstr("anchor 'a'"));
  EXPECT_THAT(title("other.json"), HasSubstr("other.json"));
  EXPECT_THAT(title("http://y/z#/a"), HasSubstr("leads out of this document"));
  EXPECT_EQ(title("root.json#/$defs/a"), "a");
  EXPECT_EQ(title("http://x/root.json"), "root");
}

TEST_F(SchemaDocumentTest, FindsAnchorsOfTheirResourceOnly) {
  read(R"({"title": "root", "$id": "http://x/a", "$defs": {
             "one": {"title": "one", "$anchor": "here"},
             "inner": {"$id": "b", "title": "inner", "$defs": {"two": {"title": "two", "$anchor": "here"}, "three": {"title": "three", "$anchor": "there"}}}}})");
  EXPECT_EQ(title("#here"), "one");
  EXPECT_EQ(title("b#here"), "two");
  EXPECT_EQ(title("http://x/b#there"), "three");
  EXPECT_THAT(title("#there"), HasSubstr("there"));
  EXPECT_EQ(title("#here", "#/$defs/inner"), "two");
  EXPECT_EQ(title("a#here", "#/$defs/inner/$defs/two"), "one");
}

TEST_F(SchemaDocumentTest, EmbeddedResourcesHaveTheirOwnRootAndBase) {
  read(R"({"title": "root", "$id": "http://x/folder/a.json", "$defs": {
             "b": {"$id": "sub/b.json", "title": "b", "$defs": {"c": {"$id": "c.json", "title": "c"}, "d": {"title": "b's d"}}},
             "d": {"title": "root's d"}}})");
  EXPECT_EQ(title("#/$defs/d", "#/$defs/b"), "b's d");
  EXPECT_EQ(title("#/$defs/d"), "root's d");
  EXPECT_EQ(title("#", "#/$defs/b/$defs/d"), "b");
  EXPECT_EQ(title("sub/b.json"), "b");
  EXPECT_EQ(title("c.json", "#/$defs/b"), "c");
  EXPECT_EQ(title("sub/c.json"), "c");
  EXPECT_EQ(title("../a.json", "sub/c.json"), "root");
  EXPECT_EQ(title("/folder/sub/b.json#/$defs/d", "sub/c.json"), "b's d");
}

TEST_F(SchemaDocumentTest, IdsInsideConstantsAndUnknownKeywordsAreNoResources) {
  read(R"({"title": "root", "$id": "http://x/a", "enum": [{"$id": "e", "title": "e"}], "const": {"$anchor": "k", "title": "k"},
           "strange": {"$id": "s", "title": "s"}, "properties": {"$id": {"title": "a property"}}})");
  EXPECT_THAT(title("e"), HasSubstr("leads out"));
  EXPECT_THAT(title("#k"), HasSubstr("anchor"));
  EXPECT_THAT(title("s"), HasSubstr("leads out"));
  EXPECT_EQ(title("#/properties/$id"), "a property");
  EXPECT_EQ(title("#/strange"), "s");
}

TEST_F(SchemaDocumentTest, OldDraftsHaveTheirIdsAndNoSiblingsOfReferences) {
  read(R"({"$schema": "http://json-schema.org/draft-04/schema#", "id": "http://x/a", "title": "root", "definitions": {
             "b": {"id": "b", "title": "b"}, "n": {"id": "#name", "title": "named"}, "new": {"$id": "new", "title": "new"}}})");
  EXPECT_EQ(title("b"), "b");
  EXPECT_EQ(title("#name"), "named");
  EXPECT_THAT(title("new"), HasSubstr("leads out"));
  read(R"({"$schema": "http://json-schema.org/draft-07/schema#", "$id": "http://x/a", "title": "root", "definitions": {
             "b": {"$id": "b", "title": "b"}, "n": {"$id": "#name", "title": "named"}, "r": {"$ref": "#", "$id": "r", "title": "hidden"},
             "c": {"$anchor": "new", "title": "new"}}})");
  EXPECT_EQ(title("b"), "b");
  EXPECT_EQ(title("#name"), "named");
  EXPECT_THAT(title("r"), HasSubstr("leads out"));
  EXPECT_THAT(title("#new"), HasSubstr("anchor"));
}

TEST_F(SchemaDocumentTest, TheDialectChoosesTheDraft) {
  const std::pair<std::string_view, Draft> cases[] = {
      {"http://json-schema.org/draft-04/schema#", Draft::draft4},
      {"http://json-schema.org/draft-06/schema#", Draft::draft6},
      {"http://json-schema.org/draft-07/schema#", Draft::draft7},
      {"http://json-schema.org/draft-07/schema", Draft::draft7},
      {"https://json-schema.org/draft-07/schema#", Draft::draft7},
      {"https://json-schema.org/draft/2019-09/schema", Draft::draft2019},
      {"https://json-schema.org/draft/2020-12/schema", Draft::draft2020},
      {"https://json-schema.org/draft/2020-12/schema#", Draft::draft2020},
      {"http://json-schema.org/schema#", Draft::draft2020},
  };
  for (const auto& [uri, want] : cases) {
    const SchemaDocument& d = read(Json(Json::Object{{"$schema", Json(uri)}}).dump());
    EXPECT_TRUE(refusal.reason.empty()) << uri;
    EXPECT_EQ(d.draft(d.root()), want) << uri;
    EXPECT_FALSE(d.lenient());
  }
  const SchemaDocument& d = read("{}");
  EXPECT_EQ(d.draft(d.root()), Draft::draft2020);
  EXPECT_TRUE(d.lenient());
  EXPECT_TRUE(read("true").lenient());
}

TEST_F(SchemaDocumentTest, AnUnknownDialectIsRefusedWithItsPlace) {
  read(R"({"$schema": "http://example.org/mine"})");
  EXPECT_EQ(refusal.path, "#/$schema");
  EXPECT_THAT(refusal.reason, HasSubstr("http://example.org/mine"));
  read(R"({"$schema": 7})");
  EXPECT_EQ(refusal.path, "#/$schema");
  read(R"({"$defs": {"a": {"$id": "x", "$schema": "urn:other"}}})");
  EXPECT_EQ(refusal.path, "#/$defs/a/$schema");
}

TEST_F(SchemaDocumentTest, AnEmbeddedResourceMayHaveItsOwnDialect) {
  read(
      R"({"$id": "http://x/a", "$defs": {"old": {"$id": "old", "$schema": "http://json-schema.org/draft-07/schema#", "title": "old",
           "definitions": {"below": {"title": "below"}}}, "new": {"title": "new"}}})");
  ASSERT_TRUE(refusal.reason.empty());
  std::string reason;
  const auto draft = [&](std::string_view reference) {
    return document->draft(document->resolve(document->root(), reference, reason));
  };
  EXPECT_EQ(draft("old"), Draft::draft7);
  EXPECT_EQ(draft("old#/definitions/below"), Draft::draft7);
  EXPECT_EQ(draft("#/$defs/new"), Draft::draft2020);
}

TEST_F(SchemaDocumentTest, OnePlaceHasOneIdHoweverItIsReached) {
  SchemaDocument& d = read(R"({"$id": "http://x/a", "$defs": {"b": {"$anchor": "b", "$id": "b", "title": "b"}}})");
  std::string reason;
  const SchemaId by_pointer = d.resolve(d.root(), "#/$defs/b", reason);
  EXPECT_EQ(d.resolve(d.root(), "b", reason), by_pointer);
  EXPECT_EQ(d.resolve(d.root(), "b#b", reason), by_pointer);
  EXPECT_EQ(d.child(d.root(), *d.json(d.root()).find("$defs")->find("b"), "$defs/b"), by_pointer);
  EXPECT_EQ(d.path(by_pointer), "#/$defs/b");
  EXPECT_EQ(d.resolve(d.root(), "#", reason), d.root());
}

TEST_F(SchemaDocumentTest, SyntheticSchemasBelongToNoResource) {
  SchemaDocument& d = read(R"({"$schema": "http://json-schema.org/draft-04/schema#", "title": "root"})");
  const SchemaId id = d.synthetic(Json::parse(R"({"title": "made"})", "made").value(), "#/somewhere");
  EXPECT_EQ(d.draft(id), Draft::draft2020);
  EXPECT_EQ(d.path(id), "#/somewhere");
  EXPECT_EQ(d.json(id).find("title")->as_string(), "made");
  std::string reason;
  EXPECT_EQ(d.resolve(id, "#", reason), 0);
  EXPECT_FALSE(reason.empty());
}

TEST_F(SchemaDocumentTest, DynamicReferencesAreFollowedWhereOnlyOneAnswerIsPossible) {
  SchemaDocument& one = read(R"({"$id": "http://x/tree", "$dynamicAnchor": "node", "title": "tree"})");
  std::string reason;
  EXPECT_EQ(one.resolve_dynamic(one.root(), "#node", reason), one.root());
  SchemaDocument& two = read(R"({"$id": "http://x/strict", "$dynamicAnchor": "node", "$ref": "tree",
                                 "$defs": {"tree": {"$id": "tree", "$dynamicAnchor": "node", "title": "tree"}}})");
  EXPECT_EQ(two.resolve_dynamic(two.root(), "#node", reason), 0);
  EXPECT_THAT(reason, HasSubstr("depends on the way"));
  // Without a dynamic anchor it is a reference as any other.
  SchemaDocument& plain =
      read(R"({"$id": "http://x/a", "$anchor": "node", "$defs": {"b": {"$id": "b", "$dynamicAnchor": "node"}}})");
  EXPECT_EQ(plain.resolve_dynamic(plain.root(), "#node", reason), plain.root());
}

}  // namespace
}  // namespace quern
