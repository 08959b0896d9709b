#include "backup/member_sink.h"

#include <fcntl.h>

#include "backup/age.h"
#include "backup/digest.h"
#include "backup/names.h"
#include "backup/zstd_stream.h"
#include "base/messages.h"

namespace verbund::backup {
namespace {

/// The disk is set to work after so much, without waiting for it.
constexpr std::uint64_t kWritebackBytes = 16ULL << 20;

struct Parts {
  std::vector<Sum> sums;        ///< in order
  std::uint64_t bytes = 0;      ///< of all
};

/// The stored stream into files below the limit. The first has no number until a second is needed.
class PartSink final : public Sink {
 public:
  PartSink(PartialSet& set, std::string stem, std::uint64_t part_bytes, Parts& parts)
      : set_(set), stem_(std::move(stem)), part_bytes_(part_bytes), parts_(parts) {}

  Status write(std::string_view bytes) override {
    while (!bytes.empty()) {
      if (!file_ || filled_ == part_bytes_) {
        if (auto done = next(); !done) return done;
      }
      const std::string_view piece = bytes.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), part_bytes_ - filled_)));
      hash_.update(piece);
      if (auto done = set_.write(file_, piece, name_); !done) return done;
      filled_ += piece.size();
      start_writeback();
      bytes.remove_prefix(piece.size());
    }
    return {};
  }

  Status finish() override { return close(); }

 private:
  [[nodiscard]] std::string numbered(std::size_t part) const { return fmt::format("{}.{:03}", stem_, part); }

  Status next() {
    if (file_) {
      if (auto done = close(); !done) return done;
    }
    const std::size_t number = parts_.sums.size();
    if (number >= kMaxPartsPerMember) return fail(ErrorCode::kTooLarge, phrase("write {}: more than {} parts", stem_, kMaxPartsPerMember));
    if (number == 1) {
      if (auto done = set_.rename(stem_, numbered(0)); !done) return done;
      parts_.sums[0].name = numbered(0);
    }
    name_ = number == 0 ? stem_ : numbered(number);
    auto file = set_.create(name_);
    if (!file) return pass(file);
    parts_.sums.push_back({name_, {}});
    file_ = std::move(*file);
    hash_ = Sha256();
    filled_ = 0;
    started_ = 0;
    return {};
  }

  Status close() {
    parts_.sums.back().hash = hash_.hex();
    parts_.bytes += filled_;
    auto done = set_.sync(file_, name_);
    file_.close();
    return done;
  }

  void start_writeback() {
    if (filled_ - started_ < kWritebackBytes) return;
    // Only a hint: what fails here fails in the sync, too.
    ::sync_file_range(file_.number(), static_cast<off_t>(started_), static_cast<off_t>(filled_ - started_), SYNC_FILE_RANGE_WRITE);
    started_ = filled_;
  }

  PartialSet& set_;
  const std::string stem_;
  const std::uint64_t part_bytes_;
  Parts& parts_;
  std::string name_;
  os::Descriptor file_;
  Sha256 hash_;
  std::uint64_t filled_ = 0, started_ = 0;
};

class MemberSink final : public Sink {
 public:
  MemberSink(PartialSet& set, std::string name, Content content) : set_(set) {
    member_.name = std::move(name);
    member_.content = content;
  }
  MemberSink(const MemberSink&) = delete;
  MemberSink& operator=(const MemberSink&) = delete;
  ~MemberSink() override {
    if (finished_) return;
    chain_.reset();
    for (const Sum& part : parts_.sums) set_.remove(part.name);
    set_.release(member_.name);
  }

  Status begin(const WriteOptions& options) {
    member_.sealed = !options.recipients.empty();
    const std::string stem = member_.name + (member_.sealed ? ".zst.age" : ".zst");
    if (auto good = check_name(stem + ".000"); !good) return pass(good, phrase("add {}", printable(member_.name)));
    std::unique_ptr<Sink> chain = std::make_unique<PartSink>(set_, stem, options.part_bytes, parts_);
    if (member_.sealed) {
      auto sealed = make_age_sink(std::move(chain), options.recipients);
      if (!sealed) return pass(sealed);
      chain = std::move(*sealed);
    }
    auto compressed = make_zstd_sink(std::move(chain), options.zstd_level, options.zstd_threads);
    if (!compressed) return pass(compressed);
    chain_ = std::move(*compressed);
    return {};
  }

  Status write(std::string_view bytes) override {
    plain_.update(bytes);
    member_.plain_bytes += bytes.size();
    return kept(chain_->write(bytes));
  }

  Status finish() override {
    if (failed_) return std::unexpected(*failed_);
    if (auto done = kept(chain_->finish()); !done) return done;
    member_.plain_sha256 = plain_.hex();
    member_.stored_bytes = parts_.bytes;
    for (const Sum& part : parts_.sums) member_.parts.push_back(part.name);
    finished_ = true;
    set_.finished(std::move(member_), parts_.sums);
    return {};
  }

 private:
  /// After an error the stream has a hole: it must not be finished.
  Status kept(Status done) {
    if (!done) failed_ = done.error();
    return done;
  }

  PartialSet& set_;
  Member member_;
  Parts parts_;
  Sha256 plain_;
  std::unique_ptr<Sink> chain_;
  std::optional<Error> failed_;
  bool finished_ = false;
};

}  // namespace

Result<std::unique_ptr<Sink>> make_member_sink(PartialSet& set, const WriteOptions& options, const std::string& name, Content content) {
  if (auto good = check_name(name); !good) return pass(good, phrase("add {}", printable(name)));
  if (auto claimed = set.claim(name); !claimed) return pass(claimed);
  auto sink = std::make_unique<MemberSink>(set, name, content);
  if (auto begun = sink->begin(options); !begun) return pass(begun);
  return sink;
}

}  // namespace verbund::backup
