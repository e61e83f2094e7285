#include "formats/safetensors.h"

#include "base/random.h"
#include "formats/temporary_folder_test.h"

namespace quern {
namespace {

std::string with_length(uint64_t length, std::string_view rest) {
  std::string file;
  for (int i = 0; i < 8; ++i) file += static_cast<char>(static_cast<unsigned char>(length >> (8 * i)));
  return file.append(rest);
}
// A file with this header and so many data bytes.
std::string file_of(std::string_view header, size_t data_bytes = 0) {
  return with_length(header.size(), std::string(header) + std::string(data_bytes, 'x'));
}

Result<std::vector<StoredTensor>> parse(std::string_view file) {
  return SafetensorsFile::parse(std::as_bytes(std::span(file.data(), file.size())), "t.safetensors");
}

TEST(Safetensors, GivesViewsOfTheTensorsInFileOrder) {
  Json metadata;
  const std::string file = file_of(
      R"({"b":{"dtype":"U8","shape":[3],"data_offsets":[4,7]},"__metadata__":{"format":"pt"},"a":{"dtype":"F16","shape":[1,2],"data_offsets":[0,4]},
                                      "none":{"dtype":"F32","shape":[0,5],"data_offsets":[7,7]},"scalar":{"dtype":"I8","shape":[],"data_offsets":[7,8]}})",
      8);
  const auto tensors = SafetensorsFile::parse(std::as_bytes(std::span(file.data(), file.size())), "t", &metadata);
  ASSERT_TRUE(tensors) << tensors.error().message;
  ASSERT_EQ(tensors->size(), 4u);
  EXPECT_EQ((*tensors)[0].name, "a");
  EXPECT_EQ((*tensors)[0].dtype, "F16");
  EXPECT_EQ((*tensors)[0].shape, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ((*tensors)[0].bytes.size(), 4u);
  EXPECT_EQ((*tensors)[1].name, "b");
  EXPECT_EQ((*tensors)[2].bytes.size(), 0u);
  EXPECT_EQ((*tensors)[3].bytes.size(), 1u);
  EXPECT_EQ(metadata.find("format")->as_string(), "pt");
}

TEST(Safetensors, RefusesFilesShorterThanTheirLengthsSay) {
  const std::string whole = file_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8);
  ASSERT_TRUE(parse(whole));
  for (size_t length = 0; length < whole.size(); ++length)
    EXPECT_TRUE(fails(parse(whole.substr(0, length)), Errc::malformed, {"t.safetensors"})) << length;
  EXPECT_TRUE(fails(parse(whole + "y"), Errc::malformed, {"data bytes"}));
}

TEST(Safetensors, RefusesLyingHeaderLengths) {
  for (const uint64_t length :
       {uint64_t{3}, uint64_t{1} << 20, uint64_t{1} << 40, uint64_t{1} << 63, ~uint64_t{0}, ~uint64_t{0} - 7})
    EXPECT_TRUE(fails(parse(with_length(length, "{}")), Errc::malformed)) << length;
  EXPECT_TRUE(fails(parse(with_length(0, "{}")), Errc::malformed));
  EXPECT_TRUE(fails(parse(with_length(1, "{}")), Errc::malformed));
}

TEST(Safetensors, RefusesHeadersThatAreNotAnObjectOfTensors) {
  for (const char* header :
       {"", "[]", "3", "null", "\"a\"", "{", "{}}", R"({"a":3})", R"({"a":{}})", R"({"a":null})",
        R"({"a":{"dtype":"F32","shape":[1]}})", R"({"a":{"dtype":7,"shape":[1],"data_offsets":[0,4]}})",
        R"({"a":{"dtype":"F32","shape":1,"data_offsets":[0,4]}})", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})",
        R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,4]}})",
        R"({"a":{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}})",
        R"({"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}})",
        R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,"4"]}})",
        R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,NaN]}})"})
    EXPECT_TRUE(fails(parse(file_of(header, 4)), Errc::malformed)) << header;
}

TEST(Safetensors, RefusesOffsetsOutsideTheFileOrBackwards) {
  for (const char* offsets : {"[0,9]", "[-4,4]", "[8,0]", "[0,18446744073709551615]", "[0,9223372036854775807]",
                              "[9223372036854775807,9223372036854775807]", "[1e30,2e30]", "[0,-8]"})
    EXPECT_TRUE(fails(parse(file_of(fmt::format(R"({{"a":{{"dtype":"F32","shape":[2],"data_offsets":{}}}}})", offsets), 8)),
                      Errc::malformed, {"a"}))
        << offsets;
}

TEST(Safetensors, RefusesOverlapsAndHoles) {
  const auto two = [](std::string_view a, std::string_view b) {
    return parse(file_of(
        fmt::format(
            R"({{"first":{{"dtype":"U8","shape":[4],"data_offsets":{}}},"second":{{"dtype":"U8","shape":[4],"data_offsets":{}}}}})",
            a, b),
        8));
  };
  ASSERT_TRUE(two("[0,4]", "[4,8]"));
  ASSERT_TRUE(two("[4,8]", "[0,4]"));
  EXPECT_TRUE(fails(two("[0,4]", "[2,6]"), Errc::malformed, {"second", "overlaps"}));
  EXPECT_TRUE(fails(two("[0,4]", "[0,4]"), Errc::malformed, {"overlaps"}));
  EXPECT_TRUE(fails(parse(file_of(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})", 8)), Errc::malformed, {"hole"}));
  EXPECT_TRUE(fails(parse(file_of(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", 8)), Errc::malformed, {"fill 4"}));
}

TEST(Safetensors, RefusesShapesThatDoNotFillTheirBytes) {
  for (const char* shape :
       {"[3]", "[1]", "[0]", "[2,2]", "[-2]", "[-1,-2]", "[4294967296,4294967296]", "[9223372036854775807,9223372036854775807,4]",
        "[4611686018427387905]", "[9223372036854775808]", "[1,1,1,1,1,1,1,1,2]"})
    EXPECT_TRUE(fails(parse(file_of(fmt::format(R"({{"a":{{"dtype":"F32","shape":{},"data_offsets":[0,8]}}}})", shape), 8)),
                      Errc::malformed, {"t.safetensors: a"}))
        << shape;
}

TEST(Safetensors, NamesADtypeItDoesNotKnow) {
  EXPECT_TRUE(fails(parse(file_of(R"({"a":{"dtype":"F4","shape":[8],"data_offsets":[0,4]}})", 4)), Errc::unsupported, {"F4", "a"}));
  EXPECT_TRUE(fails(
      parse(file_of(fmt::format(R"({{"a":{{"dtype":"{}","shape":[8],"data_offsets":[0,4]}}}})", std::string(100'000, 'D')), 4)),
      Errc::unsupported));
}

TEST(Safetensors, RefusesBadTextInTheHeader) {
  EXPECT_TRUE(fails(parse(file_of("{\"\xff\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4)), Errc::malformed));
  EXPECT_TRUE(fails(parse(file_of(std::string(100'000, '['))), Errc::malformed, {"deeper"}));
  EXPECT_TRUE(fails(parse(file_of(std::string(100'000, '{'))), Errc::malformed));
  std::string nested;
  for (int i = 0; i < 50'000; ++i) nested += "{\"a\":";
  EXPECT_TRUE(fails(parse(file_of(nested)), Errc::malformed, {"deeper"}));
}

TEST(Safetensors, KeepsAnErrorShortHoweverLongTheName) {
  EXPECT_TRUE(fails(
      parse(file_of(fmt::format(R"({{"{}":{{"dtype":"U8","shape":[1],"data_offsets":[0,4]}}}})", std::string(1'000'000, 'n')), 4)),
      Errc::malformed));
}

// A line of error is a line whatever the name holds.
TEST(Safetensors, KeepsAnErrorOnOneLineWhateverTheName) {
  EXPECT_TRUE(
      fails(parse(file_of(R"({"a\nb\u0000\u001b[2J":{"dtype":"U8","shape":[1],"data_offsets":[0,4]}})", 4)), Errc::malformed));
}

TEST(Safetensors, TakesTheLastOfARepeatedKeyAsJsonReadersDo) {
  const auto tensors = parse(
      file_of(R"({"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]},"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", 4));
  ASSERT_TRUE(tensors) << tensors.error().message;
  EXPECT_EQ(tensors->size(), 1u);
}

TEST(Safetensors, SurvivesAnyChangedByte) {
  const std::string whole = file_of(
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"I64","shape":[1,1],"data_offsets":[8,16]}})", 16);
  Random random(1);
  for (int i = 0; i < 20'000; ++i) {
    std::string changed = whole;
    for (uint64_t n = 1 + random.below(3); n > 0; --n) changed[random.below(120)] = static_cast<char>(random.below(256));
    const auto result = parse(changed);
    if (!result) {
      ASSERT_EQ(result.error().message.find('\n'), std::string::npos);
      continue;
    }
    for (const StoredTensor& t : *result)
      ASSERT_LE(t.bytes.data() + t.bytes.size(), std::as_bytes(std::span(changed)).data() + changed.size());
  }
}

TEST(SafetensorsFile, ReportsAMissingFileAFolderAndAnEmptyFile) {
  const TemporaryFolder folder;
  EXPECT_TRUE(fails(SafetensorsFile::open(folder / "absent"), Errc::not_found, {"absent"}));
  EXPECT_TRUE(fails(SafetensorsFile::open(folder.path()), Errc::io, {"regular"}));
  EXPECT_TRUE(fails(SafetensorsFile::open(folder.write("empty", "")), Errc::malformed, {"empty", "too short"}));
}

TEST(SafetensorsWriter, WritesWhatTheReaderReads) {
  const TemporaryFolder folder;
  const std::vector<SafetensorsWriter::Entry> entries = {{"x", "F32", {2, 3}}, {"empty", "U8", {0}}, {"y\"\n", "BF16", {5}}};
  Json metadata = Json::object();
  metadata["made"] = "by a test";
  auto writer = SafetensorsWriter::create(folder / "w.safetensors", entries, metadata);
  ASSERT_TRUE(writer);
  const std::vector<std::byte> bytes(34, std::byte{7});
  EXPECT_TRUE(writer->write(std::span(bytes).first(5)));
  EXPECT_TRUE(writer->write(std::span(bytes).subspan(5)));
  EXPECT_FALSE(std::filesystem::exists(folder / "w.safetensors")) << "it appears when it is whole";
  EXPECT_TRUE(writer->commit());
  const auto file = SafetensorsFile::open(folder / "w.safetensors");
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ(file->tensors().size(), 3u);
  EXPECT_EQ(file->tensors()[0].shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(file->tensors()[2].name, "y\"\n");
  EXPECT_EQ(file->metadata(), metadata);
}

}  // namespace
}  // namespace quern
