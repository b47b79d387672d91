#include <neuroinhib/data/cifar.hpp>

#include <zlib.h>

#include <fstream>

#include "support.hpp"

using namespace testing;

namespace {

constexpr std::size_t kPlane = 1024;

/// A record: its labels, then three planes, pixel p of plane c being (p + c + first) mod 256.
std::string record(const std::string& labels, std::size_t first) {
  std::string bytes = labels;
  for (std::size_t c = 0; c < 3; ++c)
    for (std::size_t p = 0; p < kPlane; ++p) bytes += static_cast<char>((p + c + first) % 256);
  return bytes;
}

void write(const std::filesystem::path& path, const std::string& content) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

void check_refused(const std::string& content, const data::CifarLabels& kind, const std::vector<std::string>& parts) {
  const TemporaryFolder folder;
  write(folder / "f.bin", content);
  check_error<FormatError>([&] { (void)data::read_cifar(folder / "f.bin", kind); }, parts);
}

}  // namespace

TEST_CASE("CIFAR records become images channels last, with their fine labels") {
  const TemporaryFolder folder;
  write(folder / "f.bin", record("\3", 0) + record("\x9", 7));
  const data::ImageSet ten = data::read_cifar(folder / "f.bin", data::kCifar10);
  CHECK(ten.labels == std::vector<int>{3, 9});
  CHECK(ten.height == 32);
  CHECK(ten.width == 32);
  CHECK(ten.channels == 3);
  CHECK(ten.pixels.size() == 2 * 3 * kPlane);
  const auto pixel = ten.image(1).subspan(std::size_t{3} * (32 * 2 + 5), 3);
  for (std::size_t c = 0; c < 3; ++c) CHECK(pixel[c] == (32 * 2 + 5 + c + 7) % 256);
  write(folder / "h.bin", record("\x13\x63", 0));
  CHECK(data::read_cifar(folder / "h.bin", data::kCifar100).labels == std::vector<int>{99});
}

TEST_CASE("CIFAR's files are found in the folder and where their archives put them, plain and gzipped") {
  const TemporaryFolder ten, hundred, packed;
  for (const char number : std::string("12345"))
    write(ten / "cifar-10-batches-bin" / ("data_batch_" + std::string(1, number) + ".bin"),
          record(std::string(1, static_cast<char>(number - '0')), 0));
  write(ten / "cifar-10-batches-bin" / "test_batch.bin", record(std::string(1, '\0'), 0));
  CHECK(data::load_cifar(ten.path, "train").labels == std::vector<int>{1, 2, 3, 4, 5});
  CHECK(data::load_cifar(ten.path, "test").labels == std::vector<int>{0});
  write(hundred / "train.bin", record("\1\x2a", 0));
  CHECK(data::load_cifar(hundred.path, "train").labels == std::vector<int>{42});
  gzFile file = gzopen((packed / "test.bin.gz").c_str(), "wb");
  const std::string bytes = record("\1\x2b", 0);
  gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
  gzclose(file);
  CHECK(data::load_cifar(packed.path, "test").labels == std::vector<int>{43});
  check_error<IoError>([&] { (void)data::load_cifar(packed.path, "train"); },
                       {"data_batch_1.bin or train.bin", "cifar-100-binary/", "neither"});
}

TEST_CASE("CIFAR files that are empty, truncated or of another kind are refused, and labels beyond the classes") {
  check_refused("", data::kCifar10, {"at least one record", "empty"});
  const std::string whole = record("\3", 0);
  for (const std::size_t size : {std::size_t{1}, whole.size() - 1, whole.size() + 1, 2 * whole.size() - 1})
    check_refused((whole + whole).substr(0, size), data::kCifar10,
                  {"records of 3073 bytes", "truncated", "record " + std::to_string(size / whole.size())});
  check_refused(whole, data::kCifar100, {"records of 3074 bytes", "3073 bytes of record 0", "CIFAR-100"});
  check_refused(whole + record("\xa", 0), data::kCifar10, {"labels from 0 to 9", "10 in record 1"});
  check_refused(record("\x14\1", 0), data::kCifar100, {"labels from 0 to 19", "20 in record 0"});
  check_refused(record("\1\x64", 0), data::kCifar100, {"labels from 0 to 99", "100 in record 0"});
  const TemporaryFolder folder;
  write(folder / "f.bin", whole);
  check_error<FormatError>([&] { (void)data::read_cifar(folder / "f.bin", data::kCifar10, 1000); },
                           {"at most 1000 bytes"});
}
