#include <cerrno>
#include <cstring>

#include <gtest/gtest.h>

#include "base/ids.h"
#include "base/messages.h"
#include "base/result.h"
#include "base/time.h"

namespace verbund {

TEST(Lsn, PrintsAndReadsPostgresForm) {
  EXPECT_EQ(to_string(Lsn{0x16B374D848}), "16/B374D848");
  EXPECT_EQ(parse_lsn("16/B374D848").value().value, 0x16B374D848u);
  for (const char* bad : {"", "16", "16/", "/1", "G/1", "1/123456789", "1/2/3", "-1/2"}) EXPECT_FALSE(parse_lsn(bad)) << bad;
}

TEST(RecordKey, SplitsAtTheFirstSlash) {
  const auto key = parse_record_key("patient/a/b").value();
  EXPECT_EQ(key.type, "patient");
  EXPECT_EQ(key.id, "a/b");
  EXPECT_EQ(to_string(key), "patient/a/b");
}

TEST(RecordKey, RefusesWhatIsNoKey) {
  for (std::string bad : {"", "/", "patient", "patient/", "/1", "patient/\n"}) {
    EXPECT_EQ(parse_record_key(bad).error().code, ErrorCode::kBadKey) << bad;
  }
  EXPECT_FALSE(parse_record_key("patient/" + std::string(kMaxRecordIdBytes + 1, 'x')));
}

TEST(FencingToken, OrdersByTermThenStartThenCounter) {
  const auto first = FencingToken::of({Term{1}, 1}, 0xffffffff);
  const auto restarted = FencingToken::of({Term{1}, 2}, 1);
  const auto promoted = FencingToken::of({Term{2}, 0}, 1);
  EXPECT_LT(first, restarted);
  EXPECT_LT(restarted, promoted);
  EXPECT_EQ(promoted.epoch(), (LockEpoch{Term{2}, 0}));
  EXPECT_EQ(first.counter(), 0xffffffffu);
}

TEST(Csn, KeepsTermAboveCounter) {
  const auto csn = Csn::of(Term{3}, 42);
  EXPECT_EQ(csn.term(), Term{3});
  EXPECT_EQ(csn.counter(), 42u);
  EXPECT_LT(Csn::of(Term{2}, (1ULL << 40) - 1), csn);
}

TEST(Errors, KnowTheirWireNames) {
  EXPECT_EQ(wire_name(ErrorCode::kHeld), "held");
  EXPECT_EQ(code_from_wire("held"), ErrorCode::kHeld);
  EXPECT_EQ(code_from_wire("from_the_future"), ErrorCode::kInternal);
  EXPECT_EQ(exit_code(ErrorCode::kNotReachable), 3);
  EXPECT_EQ(Error({ErrorCode::kIo, "disk", ""}).in("open").message, "open: disk");
}

TEST(Messages, SayAnErrorInEitherLanguageWithItsValues) {
  Status held = fail(ErrorCode::kHeld, phrase("become user {} for {}", "device", phrase("request")), phrase("hint"));
  Error error = std::move(held.error()).in(phrase("lock {}", "patient/1")).in("start PostgreSQL");
  EXPECT_EQ(error.message, "start PostgreSQL: lock patient/1: become user device for request");
  EXPECT_EQ(message_in(Language::kEnglish, error), error.message);
  EXPECT_EQ(message_in(Language::kGerman, error), "PostgreSQL starten: patient/1 sperren: für Anfrage zum Benutzer device werden")
      << "phrases are translated wherever they stand, also in another order; a name is not, though 'device' is in the catalog";
  EXPECT_EQ(hint_in(Language::kGerman, error), "Hinweis");
  error.advise(phrase("try again"));
  EXPECT_EQ(error.hint, "try again");
  EXPECT_EQ(hint_in(Language::kGerman, error), "noch einmal versuchen");
  EXPECT_EQ(message_in(Language::kGerman, Error{ErrorCode::kIo, "plain {", ""}), "plain {") << "braces of an unmarked text are text";
}

TEST(Messages, SpeakGermanWithUmlautsAndFallBackToTheMsgid) {
  EXPECT_EQ(translate(Language::kGerman, "hint"), "Hinweis");
  EXPECT_EQ(translate(Language::kEnglish, "hint"), "hint");
  EXPECT_EQ(translate(Language::kGerman, "no such text"), "no such text");
  EXPECT_EQ(language_from_locale("de_DE.UTF-8"), Language::kGerman);
  EXPECT_EQ(language_from_locale("C"), Language::kEnglish);
}

TEST(Messages, KnowWhatTheSystemSaysByItself) {
  const Error error = make_error(ErrorCode::kIo, phrase("open {}: {}", "File exists already", std::strerror(ENOENT)));
  EXPECT_EQ(error.message, "open File exists already: No such file or directory");
  // Whatever German the frame around them has got since.
  const auto german = message_in(Language::kGerman, error);
  EXPECT_NE(german.find("File exists already"), std::string::npos) << german;
  EXPECT_TRUE(german.ends_with("Datei oder Verzeichnis gibt es nicht")) << german;
}

TEST(Messages, RetellWhatWasKeptInEnglish) {
  const auto german = [](std::string_view english) { return retold(Language::kGerman, english); };
  EXPECT_EQ(german("the replication slot is gone"), "der Replikationsslot ist weg");
  EXPECT_EQ(german("the server keeps 1200 MB of WAL for the slot"), "der Server hält 1200 MB WAL für den Slot zurück");
  EXPECT_EQ(german("comparing with the source: the replication slot is gone"), "Vergleich mit der Quelle läuft: der Replikationsslot ist weg");
  EXPECT_EQ(german("it is a partition of history, which is captured"), "sie ist eine Partition von history, das erfasst wird") << "a name stays";
  EXPECT_EQ(german("one snapshot each at LSN 0/16B3748; feed held at LSN 0/16B3700"),
            "je ein Snapshot bei LSN 0/16B3748; Änderungslog bei LSN 0/16B3700 angehalten");
  for (const auto* foreign : {"", "FATAL:  the database system is shutting down", "a; b: c", "{}", "{broken"}) EXPECT_EQ(german(foreign), foreign);
  EXPECT_EQ(retold(Language::kEnglish, "the replication slot is gone"), "the replication slot is gone");
}

TEST(WallTime, PrintsMicroseconds) {
  EXPECT_EQ(to_iso8601(WallTime{microseconds{1'000'001}}), "1970-01-01T00:00:01.000001Z");
}

TEST(WallTime, IsReadBackAndNothingElseIs) {
  for (const auto* text : {"1970-01-01T00:00:01.000001Z", "2024-02-29T23:59:59.999999Z", "0000-01-01T00:00:00.000000Z",
                           "9999-12-31T23:59:59.999999Z"}) {
    const auto time = from_iso8601(text);
    ASSERT_TRUE(time.has_value()) << text;
    EXPECT_EQ(to_iso8601(*time), text);
  }
  for (const auto* text : {"", "2026-02-29T00:00:00.000000Z", "2026-01-01T24:00:00.000000Z", "2026-01-01T00:00:00Z",
                           "2026-01-01T00:00:00.00000xZ", "2026-01-01T00:00:00.000000Z ", "2026-13-01T00:00:00.000000Z"}) {
    EXPECT_FALSE(from_iso8601(text).has_value()) << text;
  }
}

}  // namespace verbund
