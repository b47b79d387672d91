#pragma once

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <new>
#include <string>

#include <neuroinhib/core/error.hpp>

/// Files that may be compressed. Opt-in: needs zlib.
namespace neuroinhib::io {

/// Bytes that a reader takes from a file, uncompressed, unless it is told another number.
inline constexpr std::size_t kMaxBytes = std::size_t{1} << 30;

/// Reads a plain file, or a gzip one (RFC 1952) uncompressed, from begin to end. Nothing but whole members with right
/// checksums passes for gzip.
class GzipReader {
 public:
  /// Throws IoError for a file that cannot be opened.
  explicit GzipReader(const std::filesystem::path& path, std::size_t max_bytes = kMaxBytes)
      : path_(path), most_(max_bytes), file_(std::fopen(path.c_str(), "rb")) {
    if (!file_) refuse_to_read();
    fill();
    compressed_ = stream_.avail_in >= 2 && block_[0] == 0x1f && block_[1] == 0x8b;
    constexpr int kGzipOnly = 16;
    if (compressed_ && inflateInit2(&stream_, MAX_WBITS + kGzipOnly) != Z_OK) throw std::bad_alloc();
  }
  GzipReader(const GzipReader&) = delete;
  GzipReader& operator=(const GzipReader&) = delete;
  ~GzipReader() {
    if (compressed_) inflateEnd(&stream_);
  }

  /// The next bytes, fewer only at the end of the file. Throws IoError, and FormatError for damaged or truncated gzip
  /// data, data behind it, and more bytes in all than the reader may take.
  [[nodiscard]] std::size_t read(void* target, std::size_t bytes) {
    auto* next = static_cast<Bytef*>(target);
    std::size_t done = 0;
    while (done < bytes) {
      const auto room = static_cast<uInt>(std::min<std::size_t>(bytes - done, 1u << 30));
      const std::size_t got = compressed_ ? inflated(next + done, room) : copied(next + done, room);
      if (got == 0) break;
      done += got;
    }
    taken_ += done;
    if (taken_ > most_)
      refuse("at most " + std::to_string(most_) + " bytes, uncompressed", "more",
             "take a smaller file, or raise the reader's limit");
    return done;
  }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };

  /// False at the end of the file.
  bool fill() {
    stream_.next_in = block_.data();
    stream_.avail_in = static_cast<uInt>(std::fread(block_.data(), 1, block_.size(), file_.get()));
    if (std::ferror(file_.get()) != 0) refuse_to_read();
    return stream_.avail_in > 0;
  }
  std::size_t copied(Bytef* target, uInt room) {
    if (stream_.avail_in == 0 && !fill()) return 0;
    const uInt count = std::min(room, stream_.avail_in);
    std::memcpy(target, stream_.next_in, count);
    stream_.next_in += count;
    stream_.avail_in -= count;
    return count;
  }
  std::size_t inflated(Bytef* target, uInt room) {
    stream_.next_out = target;
    stream_.avail_out = room;
    while (stream_.avail_out == room) {
      const bool more = stream_.avail_in > 0 || fill();
      if (!more && member_ended_) return 0;
      if (!more) refuse("whole gzip data", "data that end early", "fetch the file again");
      if (member_ended_) inflateReset(&stream_);
      const int status = inflate(&stream_, Z_NO_FLUSH);
      if (status != Z_OK && status != Z_STREAM_END)
        refuse("whole gzip data", stream_.msg != nullptr ? stream_.msg : "damaged data", "fetch the file again");
      member_ended_ = status == Z_STREAM_END;
    }
    return room - stream_.avail_out;
  }

  [[noreturn]] void refuse_to_read() const {
    fail<IoError>("reading " + path_.string(), "a readable file", std::strerror(errno),
                  "check the path and its rights");
  }
  [[noreturn]] void refuse(const std::string& expected, const std::string& actual, const std::string& remedy) const {
    fail<FormatError>("reading " + path_.string(), expected, actual, remedy);
  }

  std::filesystem::path path_;
  std::size_t most_, taken_ = 0;
  std::unique_ptr<std::FILE, Close> file_;
  std::array<Bytef, std::size_t{1} << 16> block_;
  z_stream stream_{};
  bool compressed_ = false, member_ended_ = false;
};

}  // namespace neuroinhib::io
