// The payload: STREAM in pieces of 64 KiB, each with its number, the last one marked.
#include <algorithm>
#include <cstring>

#include <sodium.h>

#include "backup/age.h"
#include "backup/age_keys.h"
#include "backup/key_file.h"
#include "base/messages.h"

namespace verbund::backup {
namespace {

constexpr std::size_t kChunk = 64 * 1024;
constexpr std::size_t kTag = crypto_aead_chacha20poly1305_ietf_ABYTES;
constexpr std::size_t kNonceBytes = 16;
constexpr std::size_t kBatch = 8;  // chunks that are handed on together

/// 11 bytes of number, highest first, and whether it is the last.
class ChunkNonce {
 public:
  const unsigned char* next(bool last) {
    for (std::size_t i = 0; i < 8; ++i) bytes_[10 - i] = static_cast<unsigned char>(number_ >> 8 * i);
    bytes_[11] = last ? 1 : 0;
    ++number_;
    return bytes_.data();
  }

 private:
  std::uint64_t number_ = 0;
  std::array<unsigned char, 12> bytes_{};
};

const unsigned char* raw(const char* bytes) { return reinterpret_cast<const unsigned char*>(bytes); }
unsigned char* raw(char* bytes) { return reinterpret_cast<unsigned char*>(bytes); }

class AgeSink final : public Sink {
 public:
  AgeSink(std::unique_ptr<Sink> to, SecretBytes<32> key) : to_(std::move(to)), key_(std::move(key)) {
    held_.reserve(kChunk);
    out_.reserve(kBatch * (kChunk + kTag));
  }

  Status write(std::string_view bytes) override {
    // Which chunk is the last is known only at the end: a full one waits until more comes.
    while (!bytes.empty()) {
      if (held_.empty() && bytes.size() > kChunk) {
        if (auto done = seal(bytes.substr(0, kChunk), false); !done) return done;
        bytes.remove_prefix(kChunk);
        continue;
      }
      if (held_.size() == kChunk) {
        if (auto done = seal(held_, false); !done) return done;
        held_.clear();
        continue;
      }
      const std::size_t taken = std::min(bytes.size(), kChunk - held_.size());
      held_.append(bytes.substr(0, taken));
      bytes.remove_prefix(taken);
    }
    return {};
  }

  Status finish() override {
    if (auto done = seal(held_, true); !done) return done;
    if (auto done = flush(); !done) return done;
    return to_->finish();
  }

 private:
  Status seal(std::string_view chunk, bool last) {
    const std::size_t at = out_.size();
    out_.resize(at + chunk.size() + kTag);
    crypto_aead_chacha20poly1305_ietf_encrypt(raw(out_.data() + at), nullptr, raw(chunk.data()), chunk.size(), nullptr, 0, nullptr,
                                              nonce_.next(last), key_.data());
    return out_.size() >= kBatch * (kChunk + kTag) ? flush() : Status{};
  }
  Status flush() {
    auto done = to_->write(out_);
    out_.clear();
    return done;
  }

  std::unique_ptr<Sink> to_;
  SecretBytes<32> key_;
  ChunkNonce nonce_;
  std::string held_;
  std::string out_;
};

class AgeSource final : public Source {
 public:
  AgeSource(std::unique_ptr<Source> from, SecretBytes<32> key, std::string_view begun, std::string what)
      : from_(std::move(from)), key_(std::move(key)), what_(std::move(what)), sealed_(begun) {
    plain_.resize(kChunk);
  }

  Result<std::size_t> read(std::span<char> into) override {
    if (given_ == filled_ && !ended_) {
      if (auto done = next(); !done) return pass(done);
    }
    const std::size_t bytes = std::min(into.size(), filled_ - given_);
    std::memcpy(into.data(), plain_.data() + given_, bytes);
    given_ += bytes;
    return bytes;
  }

 private:
  /// One byte more than a chunk tells whether it is the last.
  Status fill() {
    constexpr std::size_t kWanted = kChunk + kTag + 1;
    std::size_t have = sealed_.size();
    if (have >= kWanted) return {};
    sealed_.resize(kWanted);
    while (have < kWanted) {
      auto got = from_->read(std::span(sealed_.data() + have, kWanted - have));
      if (!got) return pass(got);
      if (*got == 0) break;
      have += *got;
    }
    sealed_.resize(have);
    return {};
  }

  Status next() {
    if (auto done = fill(); !done) return done;
    const std::size_t bytes = std::min(sealed_.size(), kChunk + kTag);
    const bool last = sealed_.size() == bytes;
    unsigned long long opened = 0;
    const bool good = bytes >= kTag &&
                      crypto_aead_chacha20poly1305_ietf_decrypt(raw(plain_.data()), &opened, nullptr, raw(sealed_.data()), bytes, nullptr,
                                                                0, nonce_.next(last), key_.data()) == 0;
    // The last one is empty only when all of it is.
    if (!good || (last && opened == 0 && !first_)) {
      return fail(ErrorCode::kDamaged, phrase("{}: what was encrypted is damaged or cut off", what_));
    }
    first_ = false;
    ended_ = last;
    given_ = 0;
    filled_ = static_cast<std::size_t>(opened);
    sealed_.erase(0, bytes);
    return {};
  }

  std::unique_ptr<Source> from_;
  SecretBytes<32> key_;
  std::string what_;
  ChunkNonce nonce_;
  std::string sealed_;  // read ahead, still encrypted
  std::string plain_;
  std::size_t filled_ = 0, given_ = 0;
  bool first_ = true, ended_ = false;
};

SecretBytes<32> payload_key(const FileKey& key, std::string_view nonce) {
  return hkdf_sha256(key.view(), {raw(nonce.data()), nonce.size()}, "payload");
}

}  // namespace

Result<std::unique_ptr<Sink>> make_age_sink(std::unique_ptr<Sink> to, std::span<const Recipient> recipients) {
  need_sodium();
  FileKey key;
  randombytes_buf(key.data(), key.size());
  std::string nonce(kNonceBytes, '\0');
  randombytes_buf(nonce.data(), nonce.size());
  if (auto done = to->write(age_header(key, recipients) + nonce); !done) return pass(done);
  return std::make_unique<AgeSink>(std::move(to), payload_key(key, nonce));
}

Result<std::unique_ptr<Source>> make_age_source(std::unique_ptr<Source> from, const RecipientKey& key, std::string what) {
  std::string begun;
  std::string buffer(4096, '\0');
  std::optional<AgeHeader> header;
  while (!header || begun.size() < header->bytes + kNonceBytes) {
    auto got = from->read(buffer);
    if (!got) return pass(got);
    if (*got == 0) return fail(ErrorCode::kDamaged, phrase("{}: cut off within its age header", what));
    begun.append(buffer, 0, *got);
    if (header || (!age_header_is_whole(begun) && begun.size() < kMaxAgeHeaderBytes)) continue;
    auto read = read_age_header(begun);
    if (!read) return pass(read, verbatim(what));
    header = std::move(*read);
  }
  auto file_key = header->open(key);
  if (!file_key) return pass(file_key, verbatim(what));
  const std::string_view nonce = std::string_view(begun).substr(header->bytes, kNonceBytes);
  return std::make_unique<AgeSource>(std::move(from), payload_key(*file_key, nonce),
                                     std::string_view(begun).substr(header->bytes + kNonceBytes), std::move(what));
}

}  // namespace verbund::backup
