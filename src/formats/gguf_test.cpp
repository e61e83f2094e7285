#include "formats/gguf.h"

#include "base/random.h"
#include "formats/gguf_writer.h"
#include "formats/temporary_folder_test.h"

namespace quern {
namespace {

template <class T>
std::string raw(T value) {
  std::string out(sizeof(T), '\0');
  std::memcpy(out.data(), &value, sizeof(T));
  return out;
}
std::string u32(uint32_t value) { return raw(value); }
std::string u64(uint64_t value) { return raw(value); }
std::string text(std::string_view characters) { return u64(characters.size()).append(characters); }
std::string pair(std::string_view key, uint32_t type, std::string_view value) { return (text(key) + u32(type)).append(value); }
std::string array(uint32_t type, uint64_t count, std::string_view elements) { return (u32(type) + u64(count)).append(elements); }

std::string tensor(std::string_view name, const std::vector<uint64_t>& ne, uint32_t type, uint64_t offset) {
  std::string out = text(name) + u32(static_cast<uint32_t>(ne.size()));
  for (const uint64_t extent : ne) out += u64(extent);
  return out + u32(type) + u64(offset);
}

// A file of these pairs and descriptions, its data section aligned to 32 and `data_bytes` long.
std::string file_of(const std::vector<std::string>& pairs, const std::vector<std::string>& tensors = {}, size_t data_bytes = 0,
                    uint32_t version = 3) {
  std::string file = "GGUF" + u32(version) + u64(tensors.size()) + u64(pairs.size());
  for (const std::string& one : pairs) file += one;
  for (const std::string& one : tensors) file += one;
  file.append((32 - file.size() % 32) % 32, '\0');
  return file.append(data_bytes, 'x');
}

Result<GgufContents> parse(std::string_view file) {
  return parse_gguf(std::as_bytes(std::span(file.data(), file.size())), "t.gguf");
}

TEST(Gguf, GivesViewsOfTheTensorsInTorchOrder) {
  const std::string file = file_of({}, {tensor("b", {4, 3}, 0, 64), tensor("a", {32, 2, 5}, 8, 128), tensor("c", {7}, 30, 0)}, 500);
  const auto contents = parse(file);
  ASSERT_TRUE(contents) << contents.error().message;
  const auto& tensors = contents->tensors;
  ASSERT_EQ(tensors.size(), 3u);
  EXPECT_EQ(tensors[0].name, "b");
  EXPECT_EQ(tensors[0].dtype, "F32");
  EXPECT_EQ(tensors[0].shape, (std::vector<int64_t>{3, 4}));
  EXPECT_EQ(tensors[0].bytes.size(), 48u);
  EXPECT_EQ(tensors[1].dtype, "Q8_0");
  EXPECT_EQ(tensors[1].shape, (std::vector<int64_t>{5, 2, 32}));
  EXPECT_EQ(tensors[1].bytes.size(), 10u * 34);
  EXPECT_EQ(tensors[2].dtype, "BF16");
  EXPECT_EQ(tensors[0].bytes.data() - tensors[2].bytes.data(), 64);
  EXPECT_EQ(gguf_dtype_format(tensors[1].dtype).value(), QuantFormat::q8_0);
}

TEST(Gguf, ReadsMetadataOfEveryType) {
  const std::string strings = text("one") + text("") + text("three");
  const std::string nested = array(5, 2, u32(1) + u32(2)) + array(5, 0, "");
  const std::string file =
      file_of({pair("u8", 0, "\xff"), pair("i8", 1, "\xff"), pair("u16", 2, raw(uint16_t{65535})), pair("i16", 3, raw(int16_t{-2})),
               pair("u32", 4, u32(7)), pair("i32", 5, raw(int32_t{-7})), pair("f32", 6, raw(0.5f)),
               pair("bool", 7, std::string(1, '\1')), pair("string", 8, text("täxt")), pair("strings", 9, array(8, 3, strings)),
               pair("u64", 10, u64(~uint64_t{0})), pair("i64", 11, raw(int64_t{-9})), pair("f64", 12, raw(2.25)),
               pair("nested", 9, array(9, 2, nested)), pair("i32s", 9, array(5, 2, raw(int32_t{-1}) + u32(4))),
               pair("f32s", 9, array(6, 1, raw(1.5f))), pair("bools", 9, array(7, 2, std::string("\1\0", 2)))});
  const auto contents = parse(file);
  ASSERT_TRUE(contents) << contents.error().message;
  const GgufMetadata& m = contents->metadata;
  EXPECT_EQ(m.entries().size(), 17u);
  EXPECT_EQ(m.entries()[4].key, "u32");
  EXPECT_EQ(m.u32("u8").value(), 255u);
  EXPECT_EQ(m.i64("i8").value(), -1);
  EXPECT_EQ(m.i32("u16").value(), 65535);
  EXPECT_EQ(m.i32("i16").value(), -2);
  EXPECT_EQ(m.u64("u32").value(), 7u);
  EXPECT_EQ(m.i64("i32").value(), -7);
  EXPECT_EQ(m.f32("f32").value(), 0.5f);
  EXPECT_EQ(m.f64("f64").value(), 2.25);
  EXPECT_TRUE(m.boolean("bool").value());
  EXPECT_EQ(m.string("string").value(), "täxt");
  EXPECT_EQ(m.strings("strings").value(), (std::vector<std::string_view>{"one", "", "three"}));
  EXPECT_EQ(m.u64("u64").value(), ~uint64_t{0});
  EXPECT_EQ(m.i64("i64").value(), -9);
  EXPECT_EQ(m.integers("i32s").value(), (std::vector<int64_t>{-1, 4}));
  EXPECT_EQ(m.integers("bools").value(), (std::vector<int64_t>{1, 0}));
  EXPECT_EQ(m.reals("f32s").value(), std::vector<double>{1.5});
  EXPECT_EQ(m.find("nested")->count, 2u);

  EXPECT_TRUE(fails(m.u32("absent"), Errc::not_found, {"t.gguf", "absent", "missing"}));
  EXPECT_TRUE(fails(m.u32("i8"), Errc::out_of_range, {"t.gguf: i8", "-1"}));
  EXPECT_TRUE(fails(m.i64("u64"), Errc::out_of_range, {"u64"}));
  EXPECT_TRUE(fails(m.u32("f32"), Errc::malformed, {"integer", "f32"}));
  EXPECT_TRUE(fails(m.f32("u32"), Errc::malformed, {"expected f32", "u32"}));
  EXPECT_TRUE(fails(m.boolean("u8"), Errc::malformed, {"bool"}));
  EXPECT_TRUE(fails(m.string("strings"), Errc::malformed, {"an array of string"}));
  EXPECT_TRUE(fails(m.strings("string"), Errc::malformed, {"expected an array", "string"}));
  EXPECT_TRUE(fails(m.strings("i32s"), Errc::malformed, {"array of i32"}));
  EXPECT_TRUE(fails(m.integers("strings"), Errc::malformed));
  EXPECT_TRUE(fails(m.reals("i32s"), Errc::malformed));
}

TEST(Gguf, RefusesEveryTruncationOfTheHeaderAndTheData) {
  const std::string whole = file_of({pair("a", 4, u32(1)), pair("s", 9, array(8, 2, text("x") + text("yz")))},
                                    {tensor("w", {32, 2}, 8, 0), tensor("v", {4}, 0, 96)}, 96 + 16);
  ASSERT_TRUE(parse(whole)) << parse(whole).error().message;
  for (size_t length = 0; length < whole.size(); ++length)
    EXPECT_TRUE(fails(parse(whole.substr(0, length)), Errc::malformed, {"t.gguf"})) << length;
  EXPECT_TRUE(parse(whole + "more")) << "what follows the data is nobody's";
}

TEST(Gguf, NamesByteOrdersAndVersionsThatAreNotRead) {
  EXPECT_TRUE(parse(file_of({}, {}, 0, 2)));
  EXPECT_TRUE(fails(parse(file_of({}, {}, 0, 1)), Errc::unsupported, {"version 1"}));
  EXPECT_TRUE(fails(parse(file_of({}, {}, 0, 4)), Errc::unsupported, {"version 4"}));
  EXPECT_TRUE(fails(parse(file_of({}, {}, 0, 0)), Errc::unsupported, {"version 0"}));
  EXPECT_TRUE(fails(parse(file_of({}, {}, 0, 3u << 24)), Errc::unsupported, {"big-endian"}));
  EXPECT_TRUE(fails(parse("GGML" + file_of({}).substr(4)), Errc::malformed, {"GGUF"}));
}

TEST(Gguf, RefusesLyingCountsWithoutAllocatingForThem) {
  for (const uint64_t huge : {uint64_t{3}, uint64_t{1} << 32, uint64_t{1} << 60, uint64_t{1} << 63, ~uint64_t{0}}) {
    const std::string tail(40, '\1');
    EXPECT_TRUE(fails(parse("GGUF" + u32(3) + u64(huge) + u64(0) + tail), Errc::malformed, {"t.gguf"})) << huge;
    EXPECT_TRUE(fails(parse("GGUF" + u32(3) + u64(0) + u64(huge) + tail), Errc::malformed, {"t.gguf"})) << huge;
    EXPECT_TRUE(fails(parse(file_of({pair("k", 8, u64(std::max<uint64_t>(huge, 300)) + tail)})), Errc::malformed, {"t.gguf: k"}))
        << huge;
    for (const uint32_t type : {0u, 7u, 8u, 9u, 10u, 12u})
      EXPECT_TRUE(
          fails(parse(file_of({pair("k", 9, array(type, std::max<uint64_t>(huge, 300), tail))})), Errc::malformed, {"t.gguf: k"}))
          << huge << " of type " << type;
  }
}

TEST(Gguf, RefusesValuesThatAreNone) {
  EXPECT_TRUE(fails(parse(file_of({pair("k", 13, u64(0))})), Errc::malformed, {"k", "type 13"}));
  EXPECT_TRUE(fails(parse(file_of({pair("k", 9, array(13, 1, u64(0)))})), Errc::malformed, {"k", "type 13"}));
  EXPECT_TRUE(fails(parse(file_of({pair("k", 7, "\2")})), Errc::malformed, {"k", "boolean"}));
  EXPECT_TRUE(fails(parse(file_of({pair("k", 9, array(7, 2, "\1\2"))})), Errc::malformed, {"k", "boolean"}));
  EXPECT_TRUE(fails(parse(file_of({pair("", 4, u32(0))})), Errc::malformed, {"pair 0", "key"}));
  EXPECT_TRUE(fails(parse(file_of({pair("k\xff", 4, u32(0))})), Errc::malformed, {"UTF-8"}));
  EXPECT_TRUE(fails(parse(file_of({pair(std::string(70'000, 'k'), 4, u32(0))})), Errc::malformed, {"70000"}));
  EXPECT_TRUE(fails(parse(file_of({pair("k", 4, u32(0)), pair("k", 4, u32(0))})), Errc::malformed, {"k", "twice"}));
}

TEST(Gguf, BoundsTheNestingOfArrays) {
  std::string value = array(0, 1, "x");
  for (int depth = 1; depth < GgufMetadata::kMaxDepth; ++depth) value = array(9, 1, value);
  EXPECT_TRUE(parse(file_of({pair("k", 9, value)})));
  EXPECT_TRUE(fails(parse(file_of({pair("k", 9, array(9, 1, value))})), Errc::out_of_range, {"k", "nested"}));
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += array(9, 1, "");
  EXPECT_TRUE(fails(parse(file_of({pair("k", 9, deep)})), Errc::out_of_range, {"nested"}));
}

TEST(Gguf, RefusesTensorsOfATypeItDoesNotDecodeByNameAndNumber) {
  for (const uint32_t type : {4u, 16u, 28u, 40u, 97u, 139u, ~0u})
    EXPECT_TRUE(fails(parse(file_of({}, {tensor("blk.0.x", {256}, type, 0)}, 4096)), Errc::unsupported,
                      {"t.gguf: blk.0.x", std::to_string(type)}));
}

TEST(Gguf, RefusesShapesThatCannotBe) {
  const auto with = [](const std::vector<uint64_t>& ne, uint32_t type = 0) {
    return parse(file_of({}, {tensor("w", ne, type, 0)}, 256));
  };
  ASSERT_TRUE(with({4, 2, 2, 2}));
  EXPECT_TRUE(fails(with({}), Errc::malformed, {"t.gguf: w", "dimensions"}));
  EXPECT_TRUE(fails(with({1, 1, 1, 1, 1}), Errc::malformed, {"w", "5 dimensions"}));
  EXPECT_TRUE(fails(with({0}), Errc::malformed, {"w", "0 elements"}));
  EXPECT_TRUE(fails(with({4, 0}), Errc::malformed, {"w"}));
  EXPECT_TRUE(fails(with({uint64_t{1} << 63}), Errc::malformed, {"w"}));
  EXPECT_TRUE(fails(with({~uint64_t{0}}), Errc::malformed, {"w"}));
  EXPECT_TRUE(fails(with({uint64_t{1} << 32, uint64_t{1} << 32, 2}), Errc::malformed, {"w"}));
  EXPECT_TRUE(fails(with({1, uint64_t{1} << 32, uint64_t{1} << 32}), Errc::malformed, {"w"}));
  EXPECT_TRUE(fails(with({uint64_t{1} << 62, 2}), Errc::malformed, {"w"}));
  EXPECT_TRUE(fails(with({33}, 8), Errc::malformed, {"w", "multiple of 32"}));
  EXPECT_TRUE(fails(with({65}), Errc::malformed, {"w", "260 bytes", "256"}));
}

TEST(Gguf, RefusesNamesThatAreNone) {
  EXPECT_TRUE(fails(parse(file_of({}, {tensor("", {4}, 0, 0)}, 64)), Errc::malformed, {"tensor 0", "name"}));
  EXPECT_TRUE(fails(parse(file_of({}, {tensor("w\xc0", {4}, 0, 0)}, 64)), Errc::malformed, {"name"}));
  EXPECT_TRUE(fails(parse(file_of({}, {tensor("w", {4}, 0, 0), tensor("w", {4}, 0, 32)}, 64)), Errc::malformed, {"w", "twice"}));
  EXPECT_TRUE(fails(parse(file_of({}, {tensor("a\nb\x1b[2J", {4}, 99, 0)}, 64)), Errc::unsupported))
      << "one line, whatever the name";
  EXPECT_TRUE(fails(parse(file_of({}, {tensor(std::string(60'000, 'n'), {4}, 99, 0)}, 64)), Errc::unsupported))
      << "and a short one";
}

TEST(Gguf, RefusesOffsetsThatAreUnalignedOutsideOrOverlap) {
  const auto with = [](uint64_t first, uint64_t second) {
    return parse(file_of({}, {tensor("first", {16}, 0, first), tensor("second", {16}, 0, second)}, 192));
  };
  ASSERT_TRUE(with(0, 64));
  ASSERT_TRUE(with(128, 0)) << "any order, and a gap";
  EXPECT_TRUE(fails(with(0, 65), Errc::malformed, {"second", "65", "alignment"}));
  EXPECT_TRUE(fails(with(0, 32), Errc::malformed, {"second", "overlaps", "first"}));
  EXPECT_TRUE(fails(with(64, 64), Errc::malformed, {"overlaps"}));
  for (const uint64_t outside : {uint64_t{160}, uint64_t{192}, uint64_t{1} << 40, uint64_t{1} << 63, ~uint64_t{31}})
    EXPECT_TRUE(fails(with(0, outside), Errc::malformed, {"second", "outside"})) << outside;
}

TEST(Gguf, TakesTheAlignmentFromTheFileAndChecksIt) {
  const auto with = [](const std::string& value, uint64_t second) {
    std::string file = file_of({pair("general.alignment", 4, value)}, {tensor("a", {1}, 0, 0), tensor("b", {1}, 0, second)});
    while (file.size() % 64 != 0) file += '\0';
    return parse(file + std::string(256, 'x'));
  };
  EXPECT_TRUE(with(u32(64), 64));
  EXPECT_TRUE(fails(with(u32(64), 32), Errc::malformed, {"b", "alignment 64"}));
  EXPECT_TRUE(with(u32(8), 8));
  for (const uint32_t wrong : {0u, 1u, 4u, 24u, 33u, 1u << 17, 1u << 31, ~0u})
    EXPECT_TRUE(fails(with(u32(wrong), 64), Errc::out_of_range, {"general.alignment", "power of two"})) << wrong;
  EXPECT_TRUE(fails(parse(file_of({pair("general.alignment", 8, text("32"))})), Errc::malformed, {"general.alignment"}));
}

TEST(Gguf, SurvivesAnyChangedByte) {
  const std::string whole = file_of({pair("general.alignment", 4, u32(32)), pair("s", 9, array(8, 2, text("x") + text("yz"))),
                                     pair("b", 7, "\1"), pair("n", 9, array(9, 1, array(4, 2, u64(5))))},
                                    {tensor("w", {32, 2}, 8, 0), tensor("v", {4}, 0, 96)}, 112);
  ASSERT_TRUE(parse(whole));
  const size_t header = whole.size() - 112;
  Random random(1);
  for (int i = 0; i < 30'000; ++i) {
    std::string changed = whole;
    for (uint64_t n = 1 + random.below(3); n > 0; --n) changed[random.below(header)] = static_cast<char>(random.below(256));
    const auto result = parse(changed);
    if (!result) {
      ASSERT_EQ(result.error().message.find('\n'), std::string::npos);
      continue;
    }
    const auto bytes = std::as_bytes(std::span(changed));
    for (const StoredTensor& t : result->tensors) {
      ASSERT_GE(t.bytes.data(), bytes.data());
      ASSERT_LE(t.bytes.data() + t.bytes.size(), bytes.data() + bytes.size());
    }
    if (result->metadata.has("s")) (void)result->metadata.strings("s");
  }
}

TEST(GgufFile, ReportsAMissingFileAFolderAndAnEmptyFile) {
  const TemporaryFolder folder;
  EXPECT_TRUE(fails(GgufFile::open(folder / "absent.gguf"), Errc::not_found, {"absent.gguf"}));
  EXPECT_TRUE(fails(GgufFile::open(folder.path()), Errc::io, {"regular"}));
  EXPECT_TRUE(fails(GgufFile::open(folder.write("empty.gguf", "")), Errc::malformed, {"empty.gguf", "truncated"}));
}

// One part of a split model with one tensor of four floats.
std::string part(uint16_t number, uint16_t count, std::string_view name, uint32_t tensors, float value = 0) {
  std::string file = file_of({pair("split.no", 2, raw(number)), pair("split.count", 2, raw(count)),
                              pair("split.tensors.count", 5, u32(tensors)), pair("part", 4, u32(number))},
                             {tensor(name, {4}, 0, 0)});
  for (int i = 0; i < 4; ++i) file += raw(value);
  return file;
}

TEST(GgufFile, OpensAllPartsFromAnyOneOfThem) {
  const TemporaryFolder folder;
  std::vector<std::filesystem::path> paths;
  for (uint16_t i = 0; i < 3; ++i)
    paths.push_back(folder.write(fmt::format("m-q8-{:05}-of-00003.gguf", i + 1), part(i, 3, fmt::format("w{}", i), 3, i)));
  for (const auto& path : paths) {
    const auto model = GgufFile::open(path);
    ASSERT_TRUE(model) << model.error().message;
    EXPECT_EQ(model->parts().size(), 3u);
    EXPECT_EQ(model->path(), paths[0]);
    EXPECT_EQ(model->metadata().u32("part").value(), 0u) << "the first part's metadata";
    ASSERT_EQ(model->tensors().size(), 3u);
    const StoredTensor* last = model->find("w2");
    ASSERT_TRUE(last);
    float value = 0;
    std::memcpy(&value, last->bytes.data(), sizeof(value));
    EXPECT_EQ(value, 2.0f);
    EXPECT_FALSE(model->find("w3"));
  }
}

TEST(GgufFile, SaysWhichPartIsMissingOrWrong) {
  const TemporaryFolder folder;
  const auto open = [&](const std::string& second, const std::string& name = "m-00001-of-00002.gguf",
                        const std::string& first = part(0, 2, "a", 2)) {
    const auto path = folder.write(name, first);
    std::filesystem::remove(folder / "m-00002-of-00002.gguf");
    if (!second.empty()) folder.write("m-00002-of-00002.gguf", second);
    return GgufFile::open(path);
  };
  ASSERT_TRUE(open(part(1, 2, "b", 2)));
  EXPECT_TRUE(fails(open(""), Errc::not_found, {"m-00002-of-00002.gguf"}));
  EXPECT_TRUE(fails(open(part(0, 2, "b", 2)), Errc::mismatch, {"m-00002-of-00002.gguf", "split.no"}));
  EXPECT_TRUE(fails(open(part(1, 3, "b", 2)), Errc::mismatch, {"m-00002-of-00002.gguf", "split.count"}));
  EXPECT_TRUE(fails(open(file_of({})), Errc::mismatch, {"m-00002-of-00002.gguf", "split.count"}));
  EXPECT_TRUE(fails(open(part(1, 2, "a", 2)), Errc::mismatch, {"two parts", "a"}));
  EXPECT_TRUE(
      fails(open(part(1, 2, "b", 2), "m-00001-of-00002.gguf", part(0, 2, "a", 3)), Errc::mismatch, {"split.tensors.count"}));
  EXPECT_TRUE(fails(open(part(1, 2, "b", 2), "model.gguf"), Errc::mismatch, {"model.gguf", "00001-of-00002"}));
  EXPECT_TRUE(fails(open(part(1, 2, "b", 2), "m-00001-of-00003.gguf"), Errc::mismatch, {"split.count"}));
  EXPECT_TRUE(fails(open("junk"), Errc::malformed, {"m-00002-of-00002.gguf"}));
  EXPECT_TRUE(open("", "whole-00001-of-00009.gguf", file_of({}))) << "a name alone does not split a file";
}

GgufKeyValues some_metadata() {
  GgufKeyValues kv;
  kv.string("general.architecture", "qwen3next");
  kv.u16("u16", 3), kv.u32("u32", 4), kv.i32("i32", -5), kv.u64("u64", uint64_t{1} << 63), kv.f32("f32", 0.25f);
  kv.boolean("boolean", true);
  const std::vector<std::string_view> words = {"a", "", "b c"};
  kv.strings("strings", words);
  kv.i32s("i32s", std::vector<int32_t>{1, -2});
  kv.booleans("booleans", {true, false, true});
  return kv;
}

TEST(GgufWriter, WritesWhatTheReaderReads) {
  const TemporaryFolder folder;
  const std::vector<GgufWriter::Entry> entries = {{"odd", QuantFormat::f32, {3}},
                                                  {"q", QuantFormat::q4_k, {2, 512}},
                                                  {"e", QuantFormat::mxfp4, {3, 5, 64}},
                                                  {"b", QuantFormat::bf16, {1, 1}}};
  auto writer = GgufWriter::create(folder / "w.gguf", some_metadata(), entries);
  ASSERT_TRUE(writer) << writer.error().message;
  std::vector<std::byte> bytes(12 + 4 * 144 + 15 * 2 * 17 + 2);
  Random random(2);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random.below(256));
  for (size_t at = 0; at < bytes.size();) {  // pieces that end anywhere
    const size_t n = std::min<size_t>(1 + random.below(300), bytes.size() - at);
    ASSERT_TRUE(writer->write(std::span(bytes).subspan(at, n)));
    at += n;
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "w.gguf")) << "it appears when it is whole";
  ASSERT_TRUE(writer->commit());

  const auto file = GgufFile::open(folder / "w.gguf");
  ASSERT_TRUE(file) << file.error().message;
  size_t at = 0;
  ASSERT_EQ(file->tensors().size(), entries.size());
  for (size_t i = 0; i < entries.size(); ++i) {
    const StoredTensor& t = file->tensors()[i];
    EXPECT_EQ(t.name, entries[i].name);
    EXPECT_EQ(gguf_dtype_format(t.dtype).value(), entries[i].format);
    EXPECT_EQ(t.shape, entries[i].shape);
    EXPECT_TRUE(std::equal(t.bytes.begin(), t.bytes.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at))) << t.name;
    at += t.bytes.size();
  }
  const GgufMetadata& m = file->metadata();
  EXPECT_EQ(m.u32("general.alignment").value(), 32u);
  EXPECT_EQ(m.u64("u64").value(), uint64_t{1} << 63);
  EXPECT_EQ(m.i32("i32").value(), -5);
  EXPECT_EQ(m.strings("strings").value(), (std::vector<std::string_view>{"a", "", "b c"}));
  EXPECT_EQ(m.integers("booleans").value(), (std::vector<int64_t>{1, 0, 1}));
  EXPECT_EQ(std::filesystem::file_size(folder / "w.gguf") % 32, 0u);

  GgufKeyValues copy;  // every value as another file has it
  for (const auto& [key, value] : m.entries()) copy.value(key, value);
  GgufKeyValues again = some_metadata();
  again.u32("general.alignment", 32);
  EXPECT_EQ(copy.bytes(), again.bytes());
}

TEST(GgufWriter, RefusesWhatTheFormatCannotHold) {
  const TemporaryFolder folder;
  const auto create = [&](const std::vector<GgufWriter::Entry>& entries, const GgufKeyValues& kv = {}) {
    return GgufWriter::create(folder / "w.gguf", kv, entries);
  };
  EXPECT_TRUE(fails(create({{"", QuantFormat::f32, {1}}}), Errc::invalid_argument, {"w.gguf", "name"}));
  EXPECT_TRUE(fails(create({{"a", QuantFormat::f32, {1}}, {"a", QuantFormat::f32, {1}}}), Errc::invalid_argument, {"a", "twice"}));
  EXPECT_TRUE(fails(create({{"a", QuantFormat::f32, {}}}), Errc::invalid_argument, {"a", "dimensions"}));
  EXPECT_TRUE(fails(create({{"a", QuantFormat::f32, {1, 1, 1, 1, 1}}}), Errc::invalid_argument, {"a", "5 dimensions"}));
  EXPECT_TRUE(fails(create({{"a", QuantFormat::f32, {0}}}), Errc::invalid_argument, {"a", "[0]"}));
  EXPECT_TRUE(fails(create({{"a", QuantFormat::q4_k, {128}}}), Errc::mismatch, {"a", "256"}));
  EXPECT_TRUE(fails(create({{"a", QuantFormat::mlx_mxfp4, {32}}}), Errc::unsupported, {"a", "mlx-mxfp4"}));
  GgufKeyValues wide;
  wide.u32("general.alignment", 64);
  EXPECT_TRUE(fails(create({}, wide), Errc::invalid_argument, {"general.alignment", "64"}));
  EXPECT_TRUE(fails(GgufWriter::create(folder / "no" / "w.gguf", {}, {}), Errc::not_found));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path())) << "nothing half-written stays";
}

// Headers as llama.cpp's family of tools writes them; the data is cut off and is zeros here.
TEST(GgufFile, ReadsTheHeadersOfPublishedTools) {
  const TemporaryFolder folder;
  struct Case {
    const char* name;
    size_t bytes;
    const char* experts;
  };
  for (const Case& c :
       {Case{"mini-MXFP4", 4209696, "MXFP4"}, Case{"mini-Q4_K_M", 4686048, "Q4_K"}, Case{"mini-Q8_0", 8178912, "Q8_0"}}) {
    const std::string header = read_file(fmt::format("{}/tests/data/gguf/{}.header", QUERN_REPO, c.name)).value();
    const auto path = folder.write(fmt::format("{}.gguf", c.name), header);
    EXPECT_TRUE(fails(GgufFile::open(path), Errc::malformed, {"outside the file"})) << c.name;
    std::filesystem::resize_file(path, c.bytes);
    const auto file = GgufFile::open(path);
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(file->tensors().size(), 73u);
    EXPECT_EQ(file->metadata().string("general.architecture").value(), "qwen3next");
    const StoredTensor* experts = file->find("blk.0.ffn_gate_exps.weight");
    ASSERT_TRUE(experts);
    EXPECT_EQ(experts->shape, (std::vector<int64_t>{6, 256, 256}));
    EXPECT_EQ(experts->dtype, c.experts);
    EXPECT_EQ(file->find("output_norm.weight")->dtype, "F32");
    size_t total = 0;
    for (const StoredTensor& t : file->tensors()) total += (t.bytes.size() + 31) / 32 * 32;
    EXPECT_EQ(header.size() + 31 - (header.size() + 31) % 32 + total, c.bytes) << "no gaps: every byte is some tensor's";
    std::filesystem::resize_file(path, c.bytes - 32);
    EXPECT_TRUE(fails(GgufFile::open(path), Errc::malformed, {"truncated"}));
  }
}

}  // namespace
}  // namespace quern
