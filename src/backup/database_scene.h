#pragma once
/// Databases with everything that is hard to dump and to restore, for the tests of this folder.
#include <gtest/gtest.h>

#include "backup/database.h"
#include "backup/dump_file.h"
#include "testing/scratch_directory.h"
#include "testing/scratch_postgres.h"

namespace verbund::backup::testing_scene {

using postgres::Connection;

class Quiet : public Progress {
 public:
  void moved(std::string_view, std::uint64_t done, std::uint64_t) override {
    last = done;
    if (on_move) on_move();
  }
  [[nodiscard]] bool cancelled() const override { return stop; }
  std::uint64_t last = 0;
  std::function<void()> on_move;
  std::atomic<bool> stop = false;
};

class MemorySink : public Sink {
 public:
  Status write(std::string_view bytes) override {
    if (fail_after && text.size() + bytes.size() > *fail_after) return fail(ErrorCode::kDiskFull, std::string("full"));
    text += bytes;
    return {};
  }
  Status finish() override { return {}; }
  std::string text;
  std::optional<std::size_t> fail_after;
};

class MemorySource : public Source {
 public:
  explicit MemorySource(std::string_view text) : rest(text) {}
  Result<std::size_t> read(std::span<char> into) override {
    const auto count = std::min(into.size(), rest.size());
    std::copy_n(rest.begin(), count, into.begin());
    rest.remove_prefix(count);
    return count;
  }
  std::string_view rest;
};

/// Types whose text depends on settings, names that need quotes, generated and dropped columns, partitions, inheritance with columns
/// in another order than a restore makes them, large objects with a hole, keys in a circle, unlogged, empty, column-less tables.
inline constexpr const char* kNasty = R"sql(
CREATE TYPE stimmung AS ENUM ('gut', 'schlecht, sehr', 'egal"');
CREATE DOMAIN plz AS varchar(5) CHECK (VALUE ~ '^[0-9]{5}$');
CREATE TYPE anschrift AS (zeile text, ort text);
CREATE SCHEMA "Labor Ä %s {}";
CREATE TABLE "Labor Ä %s {}"."Größe ""x"" %d" (
  id int PRIMARY KEY, weg text, "a b" numeric, f8 float8, f4 real, zeit timestamptz, i interval, d date, b bytea, j json, jb jsonb, u uuid, n inet,
  m money, e stimmung, p plz, o anschrift, arr text[], r int4range, reg regclass, role regrole, typ regtype, x xml, ts tsvector, c char(5),
  lang int GENERATED ALWAYS AS (length("a b"::text)) STORED, "t" text);
ALTER TABLE "Labor Ä %s {}"."Größe ""x"" %d" DROP COLUMN weg;
INSERT INTO "Labor Ä %s {}"."Größe ""x"" %d" (id, "a b", f8, f4, zeit, i, d, b, j, jb, u, n, m, e, p, o, arr, r, reg, role, typ, x, ts, c, "t")
SELECT g, CASE WHEN g % 7 = 0 THEN 'NaN' ELSE g / 3.0 END, CASE WHEN g % 5 = 0 THEN '-0' ELSE g / 3.0 END, g / 7.0, timestamptz '2026-03-29 00:00Z' + g * interval '37 min',
       g * interval '1 month -3 days 0.5 s', CASE g % 3 WHEN 0 THEN 'infinity' ELSE date '0044-03-15 BC' + g END, decode(md5(g::text), 'hex'), '{ "b":1,  "a":"\u00e4" }',
       jsonb_build_object('k', g), md5(g::text)::uuid, '2001:db8::1/64', g::numeric::money, 'schlecht, sehr', '12345', ROW('Am Weg, 3', NULL)::anschrift,
       ARRAY['a,b', NULL, E'\\e"'], int4range(g, NULL), '"Labor Ä %s {}"."Größe ""x"" %d"', current_user::regrole, 'stimmung', '<a>ü</a>',
       to_tsvector('simple', 'ein Satz'), 'ä', CASE g % 4 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE E'Zeile\nzwei\t\\' END
  FROM generate_series(1, 300) g;
CREATE TABLE messung (ort int, tag date, wert numeric, PRIMARY KEY (ort, tag)) PARTITION BY RANGE (tag);
CREATE TABLE messung_alt PARTITION OF messung FOR VALUES FROM (MINVALUE) TO ('2026-06-01');
CREATE TABLE messung_neu PARTITION OF messung FOR VALUES FROM ('2026-06-01') TO (MAXVALUE) PARTITION BY HASH (ort);
CREATE TABLE messung_neu_0 PARTITION OF messung_neu FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE messung_neu_1 PARTITION OF messung_neu FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO messung SELECT g, date '2026-01-01' + g, g FROM generate_series(1, 300) g;
CREATE TABLE stamm (id int PRIMARY KEY, name text);
CREATE TABLE zweig (extra int, PRIMARY KEY (id)) INHERITS (stamm);
ALTER TABLE stamm ADD COLUMN spaet text DEFAULT 'x';
INSERT INTO stamm VALUES (1, 'Stamm'); INSERT INTO zweig (id, name, extra) VALUES (2, 'Zweig', 5);
CREATE TABLE kreis_a (id int PRIMARY KEY, b int); CREATE TABLE kreis_b (id int PRIMARY KEY, a int REFERENCES kreis_a);
ALTER TABLE kreis_a ADD FOREIGN KEY (b) REFERENCES kreis_b DEFERRABLE INITIALLY DEFERRED;
BEGIN; INSERT INTO kreis_a VALUES (1, 1); INSERT INTO kreis_b VALUES (1, 1); COMMIT;
CREATE TABLE selbst (id int PRIMARY KEY, oben int REFERENCES selbst); INSERT INTO selbst VALUES (1, 2), (2, 1);
CREATE UNLOGGED TABLE fluechtig (id int); INSERT INTO fluechtig VALUES (1);
CREATE TABLE leer (id int); CREATE TABLE spaltenlos (); INSERT INTO spaltenlos DEFAULT VALUES; INSERT INTO spaltenlos DEFAULT VALUES;
CREATE TABLE doppelt (x text); INSERT INTO doppelt VALUES ('gleich'), ('gleich'), (NULL), ('');
CREATE SEQUENCE zaehler; SELECT nextval('zaehler'), nextval('zaehler');
CREATE MATERIALIZED VIEW sicht AS SELECT count(*) FROM doppelt;
CREATE FUNCTION gruss() RETURNS text LANGUAGE sql AS $$ SELECT 'OWNER TO niemand;' $$;
SELECT lo_from_bytea(0, decode(repeat('ab', 5000), 'hex'));
DO $$ DECLARE l oid := lo_create(0); f int; BEGIN f := lo_open(l, 131072); PERFORM lo_lseek64(f, 9000000, 0); PERFORM lowrite(f, 'Ende'); PERFORM lo_close(f); END $$;
)sql";

class Scene : public ::testing::Test {
 protected:
  testing::ScratchPostgres& server = testing::ScratchPostgres::shared();
  Programs programs = *Programs::find(std::nullopt);
  testing::ScratchDirectory directory;
  Quiet progress;

  static Connection open(const postgres::ConnectionSettings& settings) {
    auto connection = Connection::open(settings);
    if (!connection) throw std::runtime_error(connection.error().message);
    return std::move(*connection);
  }
  Connection open(const std::string& database) {
    auto settings = server.superuser();
    settings.database = database;
    return open(settings);
  }
  static void sql(Connection& connection, const std::string& text) {
    if (auto done = connection.execute(text); !done) throw std::runtime_error(done.error().message);
  }
  static std::string value(Connection& connection, const std::string& text) {
    auto rows = connection.query(text);
    if (!rows) throw std::runtime_error(rows.error().message);
    return rows->size() == 0 ? "none" : std::string(rows->text(0, 0));
  }
  std::string asked(const std::string& database, const std::string& text) {
    auto connection = open(database);
    return value(connection, text);
  }
  bool exists(const std::string& database) {
    return asked("postgres", "SELECT 1 FROM pg_database WHERE datname = " + Connection::quote_literal(database)) == "1";
  }
  /// What restores leave.
  std::string names_like(const std::string& database) {
    return asked("postgres", "SELECT coalesce(string_agg(datname, ', ' ORDER BY datname), '') FROM pg_database WHERE starts_with(datname, " +
                                 Connection::quote_literal(database) + ")");
  }

  postgres::ConnectionSettings nasty(const std::string& name) {
    auto settings = server.database(name);
    auto connection = open(settings);
    sql(connection, kNasty);
    return settings;
  }
  /// Dumped into a file.
  std::pair<std::filesystem::path, DatabaseEntry> dumped(const postgres::ConnectionSettings& settings, bool compressed = true) {
    auto file = DumpFile::create(directory.path());
    if (!file) throw std::runtime_error(file.error().message);
    auto entry = dump_database(programs, settings, {.compressed = compressed, .use_snapshot = {}}, **file, progress);
    if (!entry) throw std::runtime_error(entry.error().message);
    const auto path = directory.path() / fmt::format("{}.backup", ++files_);
    if (auto done = (*file)->finish(); !done) throw std::runtime_error(done.error().message);
    if (auto done = (*file)->publish(path); !done) throw std::runtime_error(done.error().message);
    return {path, *entry};
  }
  RestoreOptions options(const std::string& database) {
    RestoreOptions options;
    options.database = database;
    return options;
  }

 private:
  int files_ = 0;
};

}  // namespace verbund::backup::testing_scene
