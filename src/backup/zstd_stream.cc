#include "backup/zstd_stream.h"

#include <cstring>

#include <zstd.h>

#include "base/messages.h"

namespace verbund::backup {
namespace {

/// Handed on in pieces of this size: few calls, little waiting between hashing and writing.
constexpr std::size_t kOutBytes = 1024 * 1024;

struct FreeCompressor {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};
struct FreeDecompressor {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};
using Compressor = std::unique_ptr<ZSTD_CCtx, FreeCompressor>;
using Decompressor = std::unique_ptr<ZSTD_DCtx, FreeDecompressor>;

std::unexpected<Error> refused(std::size_t code) {
  return fail(ErrorCode::kInternal, phrase("compress: {}", ZSTD_getErrorName(code)));
}

class ZstdSink final : public Sink {
 public:
  ZstdSink(std::unique_ptr<Sink> to, Compressor context) : to_(std::move(to)), context_(std::move(context)), out_(kOutBytes, '\0') {}

  Status write(std::string_view bytes) override {
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    while (in.pos < in.size) {
      if (auto done = step(in, ZSTD_e_continue); !done) return pass(done);
    }
    return {};
  }

  Status finish() override {
    ZSTD_inBuffer none{nullptr, 0, 0};
    while (true) {
      auto left = step(none, ZSTD_e_end);
      if (!left) return pass(left);
      if (*left == 0) break;
    }
    if (auto done = flush(); !done) return done;
    context_.reset();  // its workers and their memory, before the wait for the disk
    return to_->finish();
  }

 private:
  Result<std::size_t> step(ZSTD_inBuffer& in, ZSTD_EndDirective directive) {
    ZSTD_outBuffer out{out_.data(), out_.size(), filled_};
    const std::size_t left = ZSTD_compressStream2(context_.get(), &out, &in, directive);
    if (ZSTD_isError(left) != 0) return refused(left);
    filled_ = out.pos;
    if (filled_ == out_.size()) {
      if (auto done = flush(); !done) return pass(done);
    }
    return left;
  }
  Status flush() {
    auto done = to_->write(std::string_view(out_).substr(0, filled_));
    filled_ = 0;
    return done;
  }

  std::unique_ptr<Sink> to_;
  Compressor context_;
  std::string out_;
  std::size_t filled_ = 0;
};

class ZstdSource final : public Source {
 public:
  ZstdSource(std::unique_ptr<Source> from, Decompressor context, std::string what)
      : from_(std::move(from)), context_(std::move(context)), what_(std::move(what)), in_(kOutBytes, '\0') {}

  Result<std::size_t> read(std::span<char> into) override {
    ZSTD_outBuffer out{into.data(), into.size(), 0};
    while (out.pos == 0 && !into.empty()) {
      if (at_ == filled_ && !more_) {
        auto got = from_->read(in_);
        if (!got) return pass(got);
        at_ = 0;
        filled_ = *got;
        if (filled_ == 0) return ended_ ? Result<std::size_t>(0) : damaged("cut off");
      }
      ZSTD_inBuffer in{in_.data(), filled_, at_};
      const std::size_t left = ZSTD_decompressStream(context_.get(), &out, &in);
      if (ZSTD_isError(left) != 0) return damaged(ZSTD_getErrorName(left));
      at_ = in.pos;
      ended_ = left == 0;
      more_ = out.pos == out.size && !ended_;
    }
    return out.pos;
  }

 private:
  std::unexpected<Error> damaged(std::string_view why) const {
    return fail(ErrorCode::kDamaged, phrase("{}: the compressed stream is damaged: {}", what_, why));
  }

  std::unique_ptr<Source> from_;
  Decompressor context_;
  std::string what_;
  std::string in_;
  std::size_t at_ = 0, filled_ = 0;
  bool ended_ = false;  // stands at the end of a whole frame
  bool more_ = false;   // what was read may still give something
};

}  // namespace

Result<std::unique_ptr<Sink>> make_zstd_sink(std::unique_ptr<Sink> to, int level, int threads) {
  Compressor context(ZSTD_createCCtx());
  if (!context) return fail(ErrorCode::kInternal, phrase("compress: no memory"));
  for (const auto& [parameter, value] : {std::pair{ZSTD_c_compressionLevel, level}, std::pair{ZSTD_c_checksumFlag, 1},
                                         std::pair{ZSTD_c_nbWorkers, threads}}) {
    const std::size_t set = ZSTD_CCtx_setParameter(context.get(), parameter, value);
    if (ZSTD_isError(set) != 0) return refused(set);
  }
  return std::make_unique<ZstdSink>(std::move(to), std::move(context));
}

Result<std::unique_ptr<Source>> make_zstd_source(std::unique_ptr<Source> from, std::string what) {
  Decompressor context(ZSTD_createDCtx());
  if (!context) return fail(ErrorCode::kInternal, phrase("decompress: no memory"));
  return std::make_unique<ZstdSource>(std::move(from), std::move(context), std::move(what));
}

}  // namespace verbund::backup
