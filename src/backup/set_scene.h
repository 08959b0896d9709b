#pragma once
/// A small real set on a scratch directory: several members, one of several parts, sealed or not. For tests.
#include <gtest/gtest.h>

#include <map>

#include "backup/memory_stream_fixture.h"
#include "backup/sample_manifest_model.h"
#include "backup/set.h"
#include "testing/scratch_directory.h"

namespace verbund::backup {

class NoProgress final : public Progress {
 public:
  void moved(std::string_view, std::uint64_t, std::uint64_t) override {}
};

enum class Sealing { kOpen, kSealed };

class SetScene : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kPartBytes = 20'000;

  [[nodiscard]] std::filesystem::path target() const { return directory_.path() / "target"; }
  [[nodiscard]] std::vector<PublicKey> trusted() const { return {key_.public_key()}; }

  WriteOptions options(std::uint64_t sequence, Sealing sealing) const {
    WriteOptions options;
    options.target = target();
    options.id = set_id(kBegun, sequence);
    options.part_bytes = kPartBytes;
    options.zstd_threads = zstd_threads_;
    if (sealing == Sealing::kSealed) options.recipients = {deputy_.recipient(), person_.recipient()};
    return options;
  }

  Manifest manifest(std::uint64_t sequence, std::string previous_hash = {}) const {
    Manifest manifest = sample_manifest();
    manifest.sequence = sequence;
    manifest.previous_hash = std::move(previous_hash);
    manifest.begun = kBegun;
    return manifest;
  }

  static Status add(SetWriter& writer, const std::string& name, Content content, std::string_view bytes) {
    auto sink = writer.add(name, content);
    if (!sink) return pass(sink);
    if (auto done = (*sink)->write(bytes); !done) return done;
    return (*sink)->finish();
  }

  /// Fills and publishes. What stands in `contents_` is in it.
  Result<std::filesystem::path> write_set(std::uint64_t sequence, Sealing sealing, std::string previous_hash = {}) {
    auto writer = SetWriter::begin(options(sequence, sealing), key_);
    if (!writer) return pass(writer);
    for (const auto& [name, bytes] : contents_) {
      const Content content = name.ends_with(".tar") ? Content::kFolder : name.ends_with(".sql") ? Content::kGlobals : Content::kDatabase;
      if (auto done = add(*writer, name, content, bytes); !done) return pass(done);
    }
    return writer->publish(manifest(sequence, std::move(previous_hash)));
  }

  static std::vector<std::string> findings_of(const SetReader& reader) {
    NoProgress progress;
    auto findings = reader.find_damage(progress, SetReader::Cache::kUse);
    std::vector<std::string> files;
    if (!findings) return {findings.error().message};
    for (const Finding& finding : *findings) files.push_back(finding.file);
    return files;
  }

  static const inline WallTime kBegun = *from_iso8601("2026-11-22T01:30:00.000000Z");
  testing::ScratchDirectory directory_;
  SigningKey key_ = SigningKey::generate();
  RecipientKey person_ = RecipientKey::generate("Dr. Adler", kBegun);
  RecipientKey deputy_ = RecipientKey::generate("Frau Müller", kBegun);
  std::map<std::string, std::string> contents_{{"globals.sql", "CREATE ROLE arzt;\n"},
                                               {"db/praxis.dump", sample_bytes(1, 200'000)},
                                               {"db/empty.dump", ""},
                                               {"folders/m1.tar", sample_bytes(2, 30'000)}};

  int zstd_threads_ = 1;

  void SetUp() override { std::filesystem::create_directory(target()); }
};

}  // namespace verbund::backup
