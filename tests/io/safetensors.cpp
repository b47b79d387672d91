// The safetensors format: what is written comes back, and what is damaged or hostile is refused.

#include <sys/resource.h>

#include <cmath>
#include <fstream>

#include <neuroinhib/io/safetensors.hpp>

#include "support.hpp"

using namespace testing;

namespace {

std::string bytes_of(const std::string& header, const std::string& data = "") {
  const std::uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + header + data;
}

/// Writes the bytes and requires the reader to refuse them with those words.
void check_refused(const std::string& bytes, const std::vector<std::string>& parts) {
  const TemporaryFolder folder;
  std::ofstream(folder / "file", std::ios::binary) << bytes;
  check_error<FormatError>([&] { const io::Safetensors file(folder / "file"); }, parts);
}

/// The header of one tensor "a".
std::string tensor_header(const std::string& shape, const std::string& offsets) {
  return R"({"a":{"dtype":"F32","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
}

/// What the process has held at the most, in MiB.
long peak_memory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1024;
}

}  // namespace

TEST_CASE("tensors come back as they were written, with shapes and notes") {
  const TemporaryFolder folder;
  Values<float> a({2, 3}, 1);
  Values<double> b({4}, 2);
  std::vector<std::int32_t> c{7, -1};
  io::SafetensorsWriter writer;
  writer.add<float>("a", a.constant());
  writer.add<double>("b", b.constant());
  writer.add<std::int32_t>("c", {c.data(), {2}});
  writer.add<float>("none", {nullptr, {0, 3}});
  writer.note("key", "wert ü");
  writer.write(folder / "x");
  const io::Safetensors file(folder / "x");
  CHECK(file.values<float>("a") == a.values);
  CHECK(file.values<double>("b") == b.values);
  CHECK(file.values<std::int32_t>("c") == c);
  CHECK(file.shape("a") == Shape{2, 3});
  CHECK(file.values<float>("none").empty());
  CHECK(file.note("key") == "wert ü");
  check_error<FormatError>([&] { (void)file.values<double>("a"); }, {"\"a\" as F64", "F32"});
  check_error<FormatError>([&] { (void)file.shape("z"); }, {"a tensor \"z\""});
  check_error<FormatError>([&] { (void)file.values<float>("a", {3, 2}); }, {"[3, 2]", "[2, 3]"});
  check_error<FormatError>([&] { (void)file.number("key"); }, {"a whole number", "wert"});
  check_error<FormatError>([&] { (void)file.note("other"); }, {"metadata \"other\""});
}

TEST_CASE("a hostile or damaged safetensors file is refused before anything is taken from it") {
  const std::string four(4, '\0'), eight(8, '\0');
  check_refused("abc", {"8 bytes", "got 3"});
  check_refused(std::string(8, '\xff') + "{}", {"a header of at most 2 bytes"});
  check_refused(bytes_of("{\"a\":"), {"JSON as header"});
  check_refused(bytes_of("[1, 2]"), {"JSON object", "array"});
  check_refused(bytes_of(std::string(100000, '[')), {"JSON object", "array"});
  check_refused(bytes_of(R"({"a":{"dtype":"F32","shape":[1]}})", four), {"data_offsets", "2 of them"});
  check_refused(bytes_of(R"({"a":{"dtype":"X9","shape":[1],"data_offsets":[0,4]}})", four), {"known dtype", "X9"});
  check_refused(bytes_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", four),
                {"8 bytes for \"a\"", "got 4"});
  check_refused(bytes_of(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", four), {"whole numbers", "-1"});
  check_refused(bytes_of(R"({"a":{"dtype":"F32","shape":[9223372036854775807,9],"data_offsets":[0,4]}})", four),
                {"fits into memory"});
  check_refused(bytes_of(R"({"a":{"dtype":"F32","shape":[1,1,1,1,1],"data_offsets":[0,4]}})", four),
                {"at most 4 numbers in shape"});
  check_refused(bytes_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,400]}})", four),
                {"within 4 bytes", "400"});
  check_refused(bytes_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", four), {"data_offsets"});
  check_refused(
      bytes_of(
          R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
          four),
      {"begins at byte 4", "got 0"});
  check_refused(bytes_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", eight),
                {"begins at byte 0", "got 4"});
  check_refused(bytes_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", eight),
                {"4 bytes of tensors", "got 8"});
  check_refused(
      bytes_of(
          R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
          four),
      {"each name once", "\"a\" twice"});
  check_error<IoError>([] { const io::Safetensors file("/nonexistent/file"); }, {"/nonexistent/file", "No such file"});
}

TEST_CASE("offsets and extents are whole numbers that a file can have") {
  const std::string four(4, '\0');
  for (const char* offsets : {"[0, 18446744073709551620]", "[18446744073709551616, 4]", "[0.0, 4]", "[0, 4.5]",
                              "[0, 4e0]", "[0, -1]", "[-4, 0]", "[false, 4]", "[null, 4]", "[[0], 4]"})
    check_refused(bytes_of(tensor_header("[1]", offsets), four), {"data_offsets of \"a\"", "got"});
  check_refused(bytes_of(tensor_header("[1]", "[0]"), four), {"data_offsets of \"a\"", "got [0]"});
  check_refused(bytes_of(tensor_header("[1]", "[0, 4, 4]"), four), {"at most 2 numbers", "more"});
  check_refused(bytes_of(tensor_header("[1]", "[0, 18446744073709551615]"), four), {"within 4 bytes"});
  for (const char* shape : {"[1.0]", "[18446744073709551617]", "[\"1\"]"})
    check_refused(bytes_of(tensor_header(shape, "[0, 4]"), four), {"shape of \"a\"", "whole numbers"});
  // No product of extents may overflow, though an extent of zero makes the whole one zero.
  for (const char* shape : {"[0, 18446744073709551615]", "[18446744073709551615, 0]", "[0, 4294967296, 4294967296]",
                            "[9223372036854775807, 0, 3]"})
    check_refused(bytes_of(tensor_header(shape, "[0, 0]")), {"fits into memory"});
}

TEST_CASE("a header is of the format's form, and of nothing else") {
  const std::string four(4, '\0'), good = R"("dtype":"F32","shape":[1],"data_offsets":[0,4])";
  check_refused(bytes_of("{\"a\":{" + good + ",\"more\":1}}", four), {"dtype, shape and data_offsets", "\"more\""});
  check_refused(bytes_of(R"({"a":{)" + good + R"(,"dtype":"F32"}})", four), {"each name once", R"("dtype" twice)"});
  check_refused(bytes_of(R"({"a":{)" + good + R"(},"__metadata__":{"k":1}})", four),
                {"text for metadata \"k\"", "got 1"});
  check_refused(bytes_of("{\"a\":{" + good + R"(},"__metadata__":{"k":"1","k":"2"}})", four), {"each name once"});
  check_refused(bytes_of(R"({"a":{)" + good + R"(},"__metadata__":{},"__metadata__":{}})", four),
                {"__metadata__", "twice"});
  check_refused(bytes_of("{\"a\":7}"), {"an object for \"a\"", "got 7"});
  check_refused(bytes_of("{} {}"), {"JSON as header"});
  check_refused(bytes_of("{\"\xff\":{" + good + "}}", four), {"JSON as header", "UTF-8"});
}

TEST_CASE("a header that is long or deep costs little more memory than its bytes") {
  constexpr std::size_t kBytes = 20'000'000;
  const auto refused = [&](const std::string& begin, const std::string& unit) {
    std::string header = begin;
    while (header.size() < kBytes) header += unit;
    check_refused(bytes_of(header), {"got"});
  };
  refused("", "[");
  refused("", "{\"a\":");
  refused(R"({"a":{"shape":[)", "0,");
  refused(R"({"a":{"shape":[0],"data_offsets":)", "[");
  refused(R"({"a":)", "[],");
  CHECK(peak_memory() < 1000);
  std::string spaces = "{}";
  spaces.resize(100'000'001, ' ');
  check_refused(bytes_of(spaces), {"a header of at most 100000000 bytes"});
}

TEST_CASE("a name is written once, and text that is not UTF-8 is refused before the file is touched") {
  const TemporaryFolder folder;
  Values<float> a({2}, 1);
  io::SafetensorsWriter writer;
  writer.add<float>("a", a.constant());
  check_error<ConfigError>([&] { writer.add<float>("a", a.constant()); }, {"each name once", "\"a\" again"});
  check_error<ConfigError>([&] { writer.add<float>("__metadata__", a.constant()); }, {"__metadata__"});
  writer.note("path", "\xff");
  check_error<ConfigError>([&] { writer.write(folder / "x"); }, {"UTF-8"});
  CHECK(!std::filesystem::exists(folder / "x"));
}

TEST_CASE("numbers of two, four and eight bytes are rounded to the type asked for") {
  const TemporaryFolder folder;
  const auto file_of = [&](const std::string& dtype, const std::string& data) {
    std::ofstream(folder / "f", std::ios::binary)
        << bytes_of(R"({"a":{"dtype":")" + dtype + R"(","shape":[)" +
                        std::to_string(data.size() / (dtype == "F64"   ? 8
                                                      : dtype == "F32" ? 4
                                                                       : 2)) +
                        R"(],"data_offsets":[0,)" + std::to_string(data.size()) + "]}}",
                    data);
    return io::Safetensors(folder / "f");
  };
  const auto raw = [](const auto& numbers) {
    return std::string(reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof numbers[0]);
  };
  // 1, −2, the largest, the least normal, the largest and least subnormal, 1/3, −0
  const std::vector<std::uint16_t> half{0x3c00, 0xc000, 0x7bff, 0x0400, 0x03ff, 0x8001, 0x3555, 0x8000};
  const std::vector<float> expected{1, -2, 65504, 0x1p-14f, 1023 * 0x1p-24f, -0x1p-24f, 1365 * 0x1p-12f, -0.0f};
  CHECK(file_of("F16", raw(half)).converted<float>("a") == expected);
  CHECK(std::signbit(file_of("F16", raw(half)).converted<double>("a")[7]));
  const std::vector<std::uint16_t> special{0x7c00, 0xfc00, 0x7e01};
  const auto read = file_of("F16", raw(special)).converted<float>("a");
  CHECK(read[0] == INFINITY);
  CHECK(read[1] == -INFINITY);
  CHECK(std::isnan(read[2]));
  const std::vector<std::uint16_t> brain{0x3f80, 0xc049, 0x0001, 0x7f80};
  CHECK(file_of("BF16", raw(brain)).converted<float>("a") == std::vector<float>{1, -3.140625f, 0x1p-133f, INFINITY});
  const std::vector<float> single{0.1f, -3e38f};
  CHECK(file_of("F32", raw(single)).converted<double>("a") == std::vector<double>{0.1f, -3e38f});
  const std::vector<double> precise{0.1, HUGE_VAL}, large{1, 1e39};
  CHECK(file_of("F64", raw(precise)).converted<float>("a") == std::vector<float>{0.1f, INFINITY});
  CHECK(file_of("F64", raw(precise)).converted<double>("a") == precise);
  check_error<FormatError>([&] { (void)file_of("F64", raw(large)).converted<float>("a"); },
                           {"range of F32", "got 999999999"});
  check_error<FormatError>([&] { (void)file_of("I16", raw(half)).converted<float>("a"); },
                           {"F64, F32, F16 or BF16", "I16"});
}
