#pragma once
/// A manifest with something in every field. For tests.
#include "backup/manifest.h"

namespace verbund::backup {

inline Manifest sample_manifest() {
  Manifest manifest;
  manifest.id = "20261122-013000-000123";
  manifest.sequence = 123;
  manifest.previous_hash = std::string(64, 'b');
  manifest.installation = "7f3a";
  manifest.host = "server";
  manifest.program_version = "0.1.0";
  manifest.role = "production";
  manifest.begun = *from_iso8601("2026-11-22T01:30:00.000000Z");
  manifest.ended = *from_iso8601("2026-11-22T01:42:13.000001Z");
  manifest.barrier = "stopped";
  manifest.reasons = {"Müller.pdf changed while it was read"};
  manifest.members = {{"db/praxis.dump", Content::kDatabase, 5'000'000'000, std::string(64, 'c'), 2'500'000'000,
                       {"db/praxis.dump.zst.000", "db/praxis.dump.zst.001"}, false},
                      {"folders/m1.tar", Content::kFolder, 10, std::string(64, 'd'), 20, {"folders/m1.tar.zst"}, false}};
  manifest.databases = {{"praxis", "arzt", "UTF8", "de_DE.UTF-8", "db/praxis.dump", 150'020, "16/B374D848",
                         {{"public", "patient", 4, "cafe01", {"id", "Straße"}}, {"public", "visit", 18'446'744'073'709'551'615U, "cafe02"}}}};
  manifest.folders = {{"practice system", "23.4", "/srv/m1", "folders/m1.tar", 1, 2, {"Project"}, {"local.ini"}, true, {"Müller\xff.pdf"}, {"a"}, {"b"}}};
  return manifest;
}

}  // namespace verbund::backup
