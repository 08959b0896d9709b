#include "importer/importer.h"

#include "base/messages.h"
#include "importer/batch_writer.h"
#include "importer/resources.h"
#include "importer/xdt/file.h"
#include "importer/xdt/mapping.h"

namespace verbund::importer {
namespace {

/// A file can invent resource types without end; the report can't hold them all.
constexpr std::size_t kMaxTypes = 300;
constexpr std::size_t kMaxTypeBytes = 64;

class ImportRun {
 public:
  ImportRun(postgres::Connection& connection, const ImportOptions& options, const ProgressSink& progress)
      : connection_(connection), options_(options), progress_(progress),
        writer_(connection, {options.batch_size, options.match, options.dry_run, options.locks}, report_,
                [this](const Mapped& mapped, const Origin& origin) {
                  auto& waiting = std::holds_alternative<EncounterRow>(mapped.row) ? waiting_encounters_ : waiting_others_;
                  waiting[origin.file].push_back(origin.index);
                }) {}

  Result<ImportReport> run(std::span<const std::filesystem::path> paths) {
    const auto start = std::chrono::steady_clock::now();
    auto found = discover(paths);
    if (!found) return pass(found);
    files_ = std::move(found->files);
    for (auto& [file, cause] : found->problems) report_.file_problem(std::move(file), std::move(cause));
    seen_.files_total = files_.size();
    for (const auto& file : files_) seen_.bytes_total += file.size_bytes;
    std::optional<postgres::Connection::Transaction> trial;  // rolled back when it goes
    if (options_.dry_run) {
      auto begun = connection_.begin();
      if (!begun) return pass(begun, "import");
      trial.emplace(std::move(*begun));
      report_.dry_run = true;
    }
    if (auto done = first_pass(); !done) return pass(done);
    // Encounters before what refers to them.
    if (auto done = later_pass(std::exchange(waiting_encounters_, {})); !done) return pass(done);
    if (auto done = later_pass(std::exchange(waiting_others_, {})); !done) return pass(done);
    report_.elapsed = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - start);
    return std::move(report_);
  }

 private:
  using Waiting = std::map<std::uint32_t, std::vector<std::uint32_t>>;  ///< file -> indices of its resources

  Status first_pass() {
    for (std::uint32_t at = 0; at < files_.size(); ++at) {
      const auto before = seen_.bytes_done;
      if (auto read = read_any(at, nullptr, seen_.bytes_done); !read) return read;
      seen_.bytes_done = before + files_[at].size_bytes;  // trailing bytes that nobody asked for, a file that was refused
      ++seen_.files_done;
      if (auto going = go_on(); !going) return going;
    }
    if (auto flushed = writer_.flush(); !flushed) return flushed;
    report_.bytes = seen_.bytes_done;
    return go_on();
  }

  /// Reads the resources again that waited for what the first pass has written since.
  Status later_pass(Waiting waiting) {
    for (auto& [file, indices] : waiting) {
      std::sort(indices.begin(), indices.end());
      std::uint64_t ignored = 0;
      if (auto read = read_any(file, &indices, ignored); !read) return read;
      if (auto going = go_on(); !going) return going;
    }
    return writer_.flush();
  }

  Status read_any(std::uint32_t file, const std::vector<std::uint32_t>* only, std::uint64_t& read_bytes) {
    return files_[file].kind == FileKind::kXdt ? read_xdt(file, only, read_bytes) : read_fhir(file, only, read_bytes);
  }

  Status read_fhir(std::uint32_t file, const std::vector<std::uint32_t>* only, std::uint64_t& read_bytes) {
    Status outcome;
    std::uint32_t index = 0;
    const auto visit = [&](Document& document) {
      if (document.object == nullptr) {
        if (only == nullptr) report_.file_problem(place(file, document.line, 0), std::move(document.problem));
        return true;
      }
      for_each_resource(*document.object, options_.source, medications_, [&](const Found& found) {
        const Origin origin{file, index++, place(file, document.line, found.entry)};
        if (only != nullptr && !std::binary_search(only->begin(), only->end(), origin.index)) return true;
        outcome = take(found, origin, only == nullptr ? Missing::kWait : Missing::kGiveUp);
        return outcome.has_value();
      });
      return outcome.has_value();
    };
    auto read = read_documents(files_[file], options_.limits, read_bytes, visit);
    if (!outcome) return outcome;
    if (only != nullptr) return {};
    if (read) ++report_.files;
    else report_.file_problem(files_[file].shown, without_name(read.error(), files_[file]));
    return {};
  }

  Status take(const Found& found, const Origin& origin, Missing missing) {
    if (missing == Missing::kWait) ++seen_.resources;
    if (!found.problem.msgid.empty()) {
      report_.file_problem(origin.where, found.problem);
      return {};
    }
    if (!found.deletion_of.empty()) {
      type_report(found.deletion_of).skipped[Skip{SkipReason::kDeletion, {}}].add(origin.where);
      return {};
    }
    auto mapped = map_resource(*found.resource, found.context);
    if (!mapped) {
      const auto type = text_at(*found.resource, "resourceType").value_or("");
      type_report(type).skipped[mapped.error()].add(origin.where);
      return {};
    }
    return write(std::move(*mapped), origin, missing);
  }

  /// Strict: the whole file is read once before anything of it is written.
  Status read_xdt(std::uint32_t file, const std::vector<std::uint32_t>* only, std::uint64_t& read_bytes) {
    const auto& input = files_[file];
    if (only == nullptr && options_.xdt.strictness == xdt::Strictness::kStrict) {
      if (auto checked = xdt::check_file(input, options_.xdt); !checked) {
        report_.file_problem(input.shown, checked.error());
        return {};
      }
    }
    Status outcome;
    std::uint32_t index = 0;
    const xdt::XdtNaming naming{options_.number_system, options_.match};
    const auto record = [&](xdt::XdtRecord& found) {
      for (auto& item : xdt::map_record(found, naming)) {
        const Origin origin{file, index++, place(file, found.line, 0)};
        if (only != nullptr && !std::binary_search(only->begin(), only->end(), origin.index)) continue;
        outcome = take_item(std::move(item), origin, only == nullptr ? Missing::kWait : Missing::kGiveUp);
        if (!outcome) return false;
      }
      return true;
    };
    const auto tolerated = [&](Tolerated what, std::uint64_t line) {
      if (only == nullptr) report_.tolerated[what].add(place(file, line, 0));
    };
    auto read = xdt::read_file(input, options_.xdt, read_bytes, record, tolerated);
    if (!outcome || only != nullptr) return outcome;
    if (read) ++report_.files;
    else report_.file_problem(input.shown, read.error());
    return {};
  }

  Status take_item(xdt::XdtItem item, const Origin& origin, Missing missing) {
    if (missing == Missing::kWait) ++seen_.resources;
    if (const auto* unmapped = std::get_if<xdt::Unmapped>(&item)) {
      type_report(unmapped->type).skipped[unmapped->skip].add(origin.where);
      return {};
    }
    return write(std::move(std::get<Mapped>(item)), origin, missing);
  }

  Status write(Mapped mapped, const Origin& origin, Missing missing) {
    const auto before = writer_.batches();
    if (auto added = writer_.add(std::move(mapped), origin, missing); !added) return added;
    return writer_.batches() == before ? Status{} : go_on();
  }

  TypeReport& type_report(std::string_view type) {
    const auto name = std::string(type.substr(0, kMaxTypeBytes));
    const bool room = report_.types.size() < kMaxTypes || report_.types.contains(name);
    return report_.types[room ? name : "…"];
  }

  std::string place(std::uint32_t file, std::uint64_t line, std::size_t entry) const {
    std::string out = files_[file].shown;
    if (line != 0) out += fmt::format(": line {}", line);
    if (entry != 0) out += fmt::format(": entry {}", entry);
    return out;
  }

  /// The error without the file's name, which stands beside it.
  static Error without_name(Error error, const InputFile& file) {
    const auto operation = fmt::format("read {}", file.shown);
    auto& parts = error.message_parts;
    if (parts.size() < 2 || parts.front().english() != operation) return error;
    parts.erase(parts.begin());
    error.message.erase(0, operation.size() + 2);  // ": "
    return error;
  }

  Status go_on() {
    if (!progress_ || progress_(seen_)) return {};
    return fail(ErrorCode::kCancelled, phrase("import cancelled after {} resources; what was written until then stays", seen_.resources));
  }

  postgres::Connection& connection_;
  const ImportOptions& options_;
  const ProgressSink& progress_;
  ImportReport report_;
  ImportProgress seen_;
  std::vector<InputFile> files_;
  Medications medications_;
  Waiting waiting_encounters_, waiting_others_;
  BatchWriter writer_;
};

}  // namespace

Result<ImportReport> import_files(postgres::Connection& connection, std::span<const std::filesystem::path> paths,
                                  const ImportOptions& options, const ProgressSink& progress) {
  return ImportRun(connection, options, progress).run(paths);
}

}  // namespace verbund::importer
