#include "backup/folders.h"

#include "backup/digest.h"
#include "backup/folder_index.h"
#include "backup/folder_saver.h"
#include "backup/tar_reader.h"
#include "base/messages.h"

namespace verbund::backup {
namespace {

/// Counts what a walk finds.
class Measure : public TreeVisitor {
 public:
  explicit Measure(SavedFolder& result) : counts_(&result.counts), findings_(&result.findings) {}
  Status folder(const Found&) override {
    ++counts_->members;
    ++counts_->folders;
    return {};
  }
  Status entry(const Found& found) override {
    if (S_ISSOCK(found.status.st_mode)) {
      findings_->left_out.add(found.path, "socket");
      return {};
    }
    ++counts_->members;
    if (S_ISLNK(found.status.st_mode)) ++counts_->links;
    if (!S_ISREG(found.status.st_mode)) return {};
    ++counts_->files;
    const auto size = static_cast<std::uint64_t>(found.status.st_size);
    counts_->bytes += size;
    counts_->stored += std::min(size, static_cast<std::uint64_t>(found.status.st_blocks) * 512);
    return {};
  }

 private:
  FolderCounts* counts_;
  FolderFindings* findings_;
};

/// Reads an archive to its end and holds each member against its line of the index.
class Check {
 public:
  Check(Source& archive, Source* index, const std::string& label, Progress& progress)
      : reader_(archive), label_(&label), progress_(&progress) {
    if (index != nullptr) index_.emplace(*index);
  }

  Result<FolderCounts> run() {
    TreeMember member;
    while (true) {
      auto more = reader_.next(member);
      if (!more) return pass(more);
      if (!*more) break;
      if (counts_.members > 0 && compare_paths(previous_, member.path) >= 0) return wrong(member, phrase("out of order"));
      previous_ = member.path;
      if (auto checked = check(member); !checked) return pass(checked);
      if (progress_->cancelled()) return fail(ErrorCode::kCancelled, phrase("check {}: given up", *label_));
    }
    if (!index_) return counts_;
    auto line = index_->next();
    if (!line) return pass(line);
    if (*line) return fail(ErrorCode::kDamaged, phrase("{}: in the index, not in the archive", shown_path((*line)->path)));
    return counts_;
  }

 private:
  static std::unexpected<Error> wrong(const TreeMember& member, Phrase what) {
    return std::unexpected(make_error(ErrorCode::kDamaged, std::move(what)).in(phrase("member {}", shown_path(member.path))));
  }

  Status check(const TreeMember& member) {
    Sha256 hash;
    while (true) {
      auto piece = reader_.content();
      if (!piece) return pass(piece);
      if (piece->bytes.empty()) break;
      if (index_) hash.update(piece->bytes);
      progress_->moved(*label_, reader_.position(), 0);
    }
    count(member);
    if (!index_) return {};
    auto line = index_->next();
    if (!line) return pass(line);
    IndexLine own = index_line(member);
    if (!*line || own.path != (*line)->path || own.type != (*line)->type) return wrong(member, phrase("in the archive, not in the index"));
    const IndexLine& told = **line;
    if (own.size != told.size || own.stored != told.stored || own.modified != told.modified || own.link != told.link) {
      return wrong(member, phrase("not as its index says"));
    }
    if (!told.sha256.empty() && told.sha256 != hash.hex()) return wrong(member, phrase("its content is not what its index says"));
    return {};
  }

  void count(const TreeMember& member) {
    ++counts_.members;
    if (member.type == MemberType::kFolder) ++counts_.folders;
    if (member.type == MemberType::kHardLink || member.type == MemberType::kSymbolicLink) ++counts_.links;
    if (member.type != MemberType::kFile) return;
    ++counts_.files;
    counts_.bytes += member.size;
    counts_.stored += member.stored();
  }

  TarReader reader_;
  std::optional<IndexReader> index_;
  const std::string* label_;
  Progress* progress_;
  FolderCounts counts_;
  std::string previous_;
};

}  // namespace

Result<SavedFolder> save_folder(const SaveFolderOptions& options, Sink& archive, Sink* index, Progress& progress) {
  SavedFolder result;
  FolderSaver saver(options, archive, index, progress, result);
  TreeWalk walk(options, saver, result.findings);
  if (auto walked = walk.run(); !walked) return pass(walked);
  if (auto finished = saver.finish(); !finished) return pass(finished);
  result.root_missing = result.counts.members == 0;
  return result;
}

Result<SavedFolder> measure_folder(const SaveFolderOptions& options, Progress& progress) {
  SavedFolder result;
  Measure measure(result);
  TreeWalk walk(options, measure, result.findings);
  if (auto walked = walk.run(); !walked) return pass(walked);
  progress.moved(options.label, 0, result.counts.stored);
  result.root_missing = result.counts.members == 0;
  return result;
}

Result<FolderCounts> check_folder(Source& archive, Source* index, const std::string& label, Progress& progress) {
  return Check(archive, index, label, progress).run();
}

}  // namespace verbund::backup
