// The oracle (oracle_storm.h) over the little practice and over random schemas. Seeds are printed; VERBUND_SIM_SEED runs one, VERBUND_SIM_RUNS many;
// a seed that fails is shrunk to its fewest rounds, VERBUND_SIM_ROUNDS runs those.
#include <iostream>

#include <gtest/gtest-spi.h>

#include "sync/oracle_storm.h"

namespace verbund::sync {
namespace {

using testing_scene::Random;
using testing_scene::Schema;
using testing_scene::Storm;
using testing_scene::SyncScene;
using Op = Comparison::Op;
using With = Comparison::With;

std::string region_of(const std::string& user) { return user == "anna" ? "nord" : "süd"; }

class Practice final : public Schema {
 public:
  void subscribe(SyncScene& scene, Random& random) override {
    scene.sql("INSERT INTO patient SELECT n, 'P' || n, (ARRAY['nord', 'süd'])[1 + n % 2] FROM generate_series(1, 20) n; INSERT INTO encounter SELECT n, 1 + n % 20, 'k' FROM generate_series(1, 20) n;"
              "INSERT INTO observation SELECT 1 + n % 20, n, 's' FROM generate_series(1, 20) n");
    scene.office().settle();
    auto& patients = scene.subscribe("patient", random.once_in(2) ? Filter{} : Filter{{Op::kEqual, With::kParameter, "letter", "region"}});
    patients.conflict.kind = random.once_in(2) ? ConflictPolicy::Kind::kReject : ConflictPolicy::Kind::kMerge;
    scene.subscribe("encounter", random.once_in(2) ? Filter{} : Filter{{Op::kLess, With::kConstant, "id", "15"}});
    scene.subscribe("observation");
  }

  std::string statement(Random& random, bool office) override {
    const auto id = [&] { return std::to_string(1 + random.below(25)); };
    const auto text = [&] { return "'t" + std::to_string(random.below(1000)) + "'"; };
    const auto region = random.once_in(2) ? "'nord'" : "'süd'";
    switch (random.below(9)) {
      case 0: return fmt::format("INSERT INTO patient VALUES ({}, {}, {})", id(), text(), region);
      case 1: return fmt::format("UPDATE patient SET name = {} WHERE id = {}", text(), id());
      case 2: return fmt::format("UPDATE patient SET letter = {} WHERE id = {}", region, id());
      case 3: return fmt::format("DELETE FROM patient WHERE id = {}", id());
      case 4: return fmt::format("INSERT INTO encounter VALUES ({}, {}, {})", id(), id(), text());
      case 5: return fmt::format("UPDATE encounter SET kind = {} WHERE id = {}", text(), id());
      case 6: return fmt::format("DELETE FROM encounter WHERE id = {}", id());
      case 7: return fmt::format("INSERT INTO observation VALUES ({}, {}, {})", id(), id(), text());
      default: return office ? fmt::format("UPDATE encounter SET id = id + 5 WHERE id = {}", id()) : fmt::format("INSERT OR REPLACE INTO observation VALUES ({}, {}, {})", id(), id(), text());
    }
  }

  std::string record(Random& random) override { return fmt::format("{}/{}", random.once_in(2) ? "patient" : "encounter", 1 + random.below(25)); }

  std::string office_rows(const Subscription& rule, const std::string& user) const override {
    std::string where = " WHERE true";
    for (const auto& comparison : rule.filter) where += comparison.with == With::kParameter ? fmt::format(" AND letter = '{}'", region_of(user)) : std::string(" AND id < 15");
    return fmt::format("SELECT coalesce(string_agg(r, ' ' ORDER BY r COLLATE \"C\"), '') FROM (SELECT {} AS r FROM {}{}) x", columns(rule), rule.table, where);
  }
  std::string device_rows(const Subscription& rule) const override {
    return fmt::format("SELECT coalesce(group_concat(r, ' '), '') FROM (SELECT {} AS r FROM {} ORDER BY r)", columns(rule), rule.table);
  }

 private:
  static std::string columns(const Subscription& rule) {
    if (rule.table == "patient") return "id || '|' || coalesce(name, '-') || '|' || coalesce(letter, '-')";
    if (rule.table == "encounter") return "id || '|' || patient_id || '|' || coalesce(kind, '-')";
    return "encounter_id || '|' || line || '|' || coalesce(seen, '-')";
  }
};

/// Tables of random columns, keys and references, with random filters and policies.
class RandomSchema final : public Schema {
 public:
  explicit RandomSchema(Random& random) {
    const auto count = 2 + random.below(3);
    for (std::size_t at = 0; at < count; ++at) tables_.push_back(make(random, at));
  }

  [[nodiscard]] std::string definition() const {
    std::string sql;
    for (const auto& table : tables_) {
      std::string columns, key;
      for (const auto& column : table.columns) columns += column.name + " " + column.type + (column.not_null ? " NOT NULL" : "") + ", ";
      for (std::size_t at = 0; at < table.keys; ++at) key += (at == 0 ? "" : ", ") + table.columns[at].name;
      sql += fmt::format("CREATE TABLE {} ({}PRIMARY KEY ({}){});", table.name, columns, key, table.reference);
    }
    return sql;
  }
  [[nodiscard]] std::vector<std::string> captured() const {
    std::vector<std::string> names;
    for (const auto& table : tables_) names.push_back("public." + table.name);
    return names;
  }

  void subscribe(SyncScene& scene, Random& random) override {
    constexpr int kRows = 60;
    for (int row = 0; row < kRows; ++row) {
      try {
        scene.sql(insert(random, random.one_of(tables_)));
      } catch (const std::runtime_error&) {  // a key that is taken, a parent that is not there
      }
    }
    scene.office().settle();
    for (const auto& table : tables_) {
      Filter filter;
      if (table.regional && random.once_in(2)) filter.push_back({Op::kEqual, With::kParameter, "region", "region"});
      if (random.once_in(3)) filter.push_back({Op::kLess, With::kConstant, "k0", "9"});
      auto& rule = scene.subscribe(table.name, filter);
      rule.conflict.kind = random.once_in(2) ? ConflictPolicy::Kind::kReject : ConflictPolicy::Kind::kMerge;
    }
  }

  std::string statement(Random& random, bool office) override {
    const auto& table = random.one_of(tables_);
    switch (random.below(6)) {
      case 0:
      case 1: return insert(random, table);
      case 2: return "DELETE FROM " + table.name + where(random, table);
      case 3: {
        // Another key, which SQLite knows as an update and a device sends as deletion and insertion.
        const auto& column = table.columns[random.below(table.keys)];
        return fmt::format("UPDATE {} SET {} = {}{}", table.name, column.name, value(random, column), where(random, table));
      }
      case 4: return (office ? "" : "INSERT OR REPLACE INTO ") + (office ? insert(random, table) : insert(random, table).substr(std::string_view("INSERT INTO ").size()));
      default: {
        const auto& column = table.columns[table.keys + random.below(table.columns.size() - table.keys)];
        return fmt::format("UPDATE {} SET {} = {}{}", table.name, column.name, value(random, column), where(random, table));
      }
    }
  }

  std::string record(Random& random) override { return fmt::format("{}/{}", random.one_of(tables_).name, random.below(12)); }

  std::string office_rows(const Subscription& rule, const std::string& user) const override {
    const auto& table = *std::ranges::find(tables_, rule.table, &Table::name);
    std::string columns, where = " WHERE true";
    for (const auto& column : table.columns) columns += (columns.empty() ? "" : " || '|' || ") + fmt::format("coalesce({}, '-')", office_text(column));
    for (const auto& comparison : rule.filter) where += comparison.with == With::kParameter ? fmt::format(" AND region = '{}'", region_of(user)) : std::string(" AND k0 < 9");
    return fmt::format("SELECT coalesce(string_agg(r, ' ' ORDER BY r COLLATE \"C\"), '') FROM (SELECT {} AS r FROM {}{}) x", columns, table.name, where);
  }
  std::string device_rows(const Subscription& rule) const override {
    const auto& table = *std::ranges::find(tables_, rule.table, &Table::name);
    std::string columns;
    for (const auto& column : table.columns) columns += (columns.empty() ? "" : " || '|' || ") + fmt::format("coalesce({}, '-')", column.name);
    return fmt::format("SELECT coalesce(group_concat(r, ' '), '') FROM (SELECT {} AS r FROM {} ORDER BY r)", columns, table.name);
  }

 private:
  struct Column {
    std::string name, type;
    bool not_null = false;
  };
  struct Table {
    std::string name;
    std::vector<Column> columns;  ///< the key's first
    std::size_t keys = 1;
    bool regional = false;
    std::string reference;
  };

  Table make(Random& random, std::size_t number) const {
    static const std::vector<std::string> kTypes{"integer", "bigint", "smallint", "text", "varchar(20)", "numeric(10,2)", "boolean", "date", "uuid", "timestamptz", "jsonb", "integer[]"};
    static const std::vector<std::string> kDeletions{"", " ON DELETE CASCADE", " ON DELETE SET NULL"};
    Table table{fmt::format("r{}", number), {{"k0", "integer", true}}, 1, random.once_in(2), {}};
    if (random.once_in(4)) {
      table.columns.push_back({"k1", "text", true});
      table.keys = 2;
    }
    for (std::size_t at = 1 + random.below(4); at > 0; --at) table.columns.push_back({fmt::format("c{}", at), random.one_of(kTypes), random.once_in(5)});
    if (table.regional) table.columns.push_back({"region", "text", false});
    std::vector<std::string> parents;
    for (const auto& other : tables_) {
      if (other.keys == 1) parents.push_back(other.name);
    }
    if (!parents.empty() && random.once_in(2)) {
      table.columns.push_back({"parent", "integer", false});
      table.reference = fmt::format(", FOREIGN KEY (parent) REFERENCES {}{}", random.one_of(parents), random.one_of(kDeletions));
    }
    return table;
  }

  static std::string value(Random& random, const Column& column) {
    static const std::map<std::string, std::vector<std::string>> kValues{
        {"bigint", {"0", "-1", "9223372036854775807", "-9223372036854775808", "17"}},
        {"smallint", {"0", "-32768", "32767"}},
        {"text", {"", "a", "Größe", "it''s", "long long long text", "🩺"}},
        {"varchar(20)", {"", "b", "Straße 1", " leads"}},
        {"numeric(10,2)", {"12.5", "7", "-0.10", "123456.78", "0"}},
        {"boolean", {"0", "1"}},
        {"date", {"2026-01-31", "1900-02-28", "2026-1-5"}},
        {"uuid", {"6f1c1f9e-0000-4000-8000-000000000001", "6F1C1F9E-0000-4000-8000-000000000002"}},
        {"timestamptz", {"2026-01-01 00:00:00+00", "2026-07-01 12:00:00+02", "1999-12-31 23:59:59+00"}},
        {"jsonb", {"{\"a\":1}", "[1, 2]", "null", "\"ä\""}},
        {"integer[]", {"{}", "{1,2,3}", "{NULL}"}}};
    if (!column.not_null && random.once_in(8)) return "NULL";
    if (column.name == "region") return random.once_in(2) ? "'nord'" : "'süd'";
    if (column.type == "integer") return fmt::format("'{}'", random.below(12));
    return "'" + random.one_of(kValues.at(column.type)) + "'";
  }

  static std::string insert(Random& random, const Table& table) {
    std::string names, values;
    for (const auto& column : table.columns) {
      names += (names.empty() ? "" : ", ") + column.name;
      values += (values.empty() ? "" : ", ") + value(random, column);
    }
    return fmt::format("INSERT INTO {} ({}) VALUES ({})", table.name, names, values);
  }
  static std::string where(Random& random, const Table& table) { return fmt::format(" WHERE k0 = {}", value(random, table.columns.front())); }
  static std::string office_text(const Column& column) {
    if (column.type == "boolean") return column.name + "::integer::text";
    if (column.type == "timestamptz") return "to_char(" + column.name + " AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || '+00'";
    return column.name + "::text";
  }

  std::vector<Table> tables_;
};

/// Who sees a patient is said by other tables: assignments, and tours that have nurses.
class Tours final : public Schema {
 public:
  static constexpr std::string_view kTables =
      "CREATE TABLE tour (id integer PRIMARY KEY, nurse text, region text);"
      "CREATE TABLE care (id integer PRIMARY KEY, patient_id integer REFERENCES patient ON DELETE CASCADE ON UPDATE CASCADE, tour_id integer, nurse text, ended integer)";
  [[nodiscard]] static std::vector<std::string> captured() { return {"public.patient", "public.encounter", "public.observation", "public.care", "public.tour"}; }

  void subscribe(SyncScene& scene, Random& random) override {
    scene.sql("INSERT INTO patient SELECT n, 'P' || n, (ARRAY['nord', 'süd'])[1 + n % 2] FROM generate_series(1, 20) n; INSERT INTO encounter SELECT n, 1 + n % 20, 'k' FROM generate_series(1, 20) n;"
              "INSERT INTO observation SELECT 1 + n % 20, n, 's' FROM generate_series(1, 20) n; INSERT INTO tour SELECT n, (ARRAY['anna', 'bert'])[1 + n % 2], 'nord' FROM generate_series(1, 4) n;"
              "INSERT INTO care SELECT n, 1 + n % 20, 1 + n % 4, (ARRAY['anna', 'bert'])[1 + n % 2], 0 FROM generate_series(1, 10) n");
    scene.office().settle();
    static const std::vector<std::string> kPatients{
        "", "id IN (SELECT patient_id FROM care WHERE nurse = :user)", "id IN (SELECT patient_id FROM care WHERE ended = 0 AND tour_id IN (SELECT id FROM tour WHERE nurse = :user))",
        "letter = :region AND id IN (SELECT patient_id FROM care WHERE nurse = :user AND ended = 0)",
        "id IN (SELECT patient_id FROM care WHERE nurse = :user) AND letter IN (SELECT region FROM tour WHERE nurse = :user)", "id IN (SELECT patient_id FROM care WHERE ended = 0)"};
    static const std::vector<std::string> kEncounters{"id < 15", "patient_id IN (SELECT patient_id FROM care WHERE nurse = :user)",
                                                      "patient_id IN (SELECT id FROM patient WHERE letter = :region AND id IN (SELECT patient_id FROM care WHERE nurse = :user))"};
    static const std::vector<std::string> kObservations{"", "encounter_id IN (SELECT id FROM encounter WHERE patient_id IN (SELECT patient_id FROM care WHERE nurse = :user))",
                                                        "encounter_id IN (SELECT id FROM encounter WHERE kind <> 't7')"};
    static const std::vector<std::string> kCare{"", "nurse = :user", "ended = 0"};
    for (const auto& [table, filters] : {std::pair{"patient", &kPatients}, std::pair{"encounter", &kEncounters}, std::pair{"observation", &kObservations}, std::pair{"care", &kCare}}) {
      auto& rule = scene.subscribe(table, parse_filter(random.one_of(*filters)).value());
      rule.conflict.kind = random.once_in(2) ? ConflictPolicy::Kind::kReject : ConflictPolicy::Kind::kMerge;
    }
  }

  std::string statement(Random& random, bool office) override {
    std::string all;
    // What belongs together at the office is one transaction.
    for (std::size_t more = office ? random.below(3) : 0; more > 0; --more) all += one(random, true) + ";";
    return all + one(random, office);
  }
  std::string record(Random& random) override { return fmt::format("{}/{}", random.once_in(2) ? "patient" : "care", 1 + random.below(25)); }

  std::string office_rows(const Subscription& rule, const std::string& user) const override {
    auto where = rule.filter.empty() ? std::string("true") : to_string(rule.filter);
    for (const auto& [name, value] : {std::pair<std::string, std::string>{":user", user}, {":region", region_of(user)}}) {
      for (auto at = where.find(name); at != std::string::npos; at = where.find(name)) where.replace(at, name.size(), "'" + value + "'");
    }
    return fmt::format("SELECT coalesce(string_agg(r, ' ' ORDER BY r COLLATE \"C\"), '') FROM (SELECT {} AS r FROM {} WHERE {}) x", columns(rule), rule.table, where);
  }
  std::string device_rows(const Subscription& rule) const override {
    return fmt::format("SELECT coalesce(group_concat(r, ' '), '') FROM (SELECT {} AS r FROM {} ORDER BY r)", columns(rule), rule.table);
  }

 private:
  static std::string one(Random& random, bool office) {
    const auto id = [&] { return std::to_string(1 + random.below(25)); };
    const auto text = [&] { return "'t" + std::to_string(random.below(20)) + "'"; };
    const auto region = random.once_in(2) ? "'nord'" : "'süd'";
    const auto nurse = random.once_in(3) ? "'cara'" : random.once_in(2) ? "'anna'" : "'bert'";
    const auto tour = 1 + random.below(4);
    switch (random.below(office ? 20 : 14)) {
      case 0: return fmt::format("INSERT INTO patient VALUES ({}, {}, {})", id(), text(), region);
      case 1: return fmt::format("UPDATE patient SET name = {} WHERE id = {}", text(), id());
      case 2: return fmt::format("UPDATE patient SET letter = {} WHERE id = {}", region, id());
      case 3: return fmt::format("DELETE FROM patient WHERE id = {}", id());
      case 4: return fmt::format("INSERT INTO encounter VALUES ({}, {}, {})", id(), id(), text());
      case 5: return fmt::format("UPDATE encounter SET kind = {} WHERE id = {}", text(), id());
      case 6: return fmt::format("DELETE FROM encounter WHERE id = {}", id());
      case 7: return fmt::format("INSERT INTO observation VALUES ({}, {}, {})", id(), id(), text());
      case 8: return fmt::format("UPDATE encounter SET patient_id = {} WHERE id = {}", id(), id());
      case 9: return fmt::format("INSERT INTO care VALUES ({}, {}, {}, {}, 0)", id(), id(), tour, nurse);
      case 10: return fmt::format("UPDATE care SET nurse = {} WHERE id = {}", nurse, id());
      case 11: return fmt::format("DELETE FROM care WHERE id = {}", id());
      case 12: return fmt::format("UPDATE care SET patient_id = {}, ended = {} WHERE id = {}", id(), random.below(2), id());
      case 13: {
        // Somebody new together with who cares for her.
        const auto patient = id();
        return fmt::format("INSERT INTO patient VALUES ({0}, 'neu', {1}); INSERT INTO care VALUES ({2}, {0}, {3}, {4}, 0)", patient, region, id(), tour, nurse);
      }
      case 14: return fmt::format("UPDATE tour SET nurse = {} WHERE id = {}", nurse, tour);
      case 15: return fmt::format("UPDATE tour SET region = {} WHERE id = {}", region, tour);
      case 16: return random.once_in(6) ? std::string("TRUNCATE care") : fmt::format("DELETE FROM tour WHERE id = {}", tour);
      case 17: return fmt::format("INSERT INTO tour VALUES ({}, {}, {})", tour, nurse, region);
      case 18: return fmt::format("UPDATE patient SET id = id + 5 WHERE id = {}", id());
      default: return fmt::format("UPDATE care SET nurse = CASE nurse WHEN 'anna' THEN 'bert' ELSE 'anna' END WHERE id % 3 = {}", random.below(3));
    }
  }

  static std::string columns(const Subscription& rule) {
    if (rule.table == "patient") return "id || '|' || coalesce(name, '-') || '|' || coalesce(letter, '-')";
    if (rule.table == "encounter") return "id || '|' || coalesce(patient_id || '', '-') || '|' || coalesce(kind, '-')";
    if (rule.table == "care") return "id || '|' || coalesce(patient_id || '', '-') || '|' || coalesce(nurse, '-') || '|' || coalesce(ended || '', '-')";
    return "encounter_id || '|' || line || '|' || coalesce(seen, '-')";
  }
};

using One = std::function<void(Random& random, int rounds)>;

void run(const One& one, std::uint64_t seed, int rounds) {
  SCOPED_TRACE("VERBUND_SIM_SEED=" + std::to_string(seed));
  Random random(seed);
  one(random, rounds);
}

/// The fewest rounds of a seed that fail: each is the beginning of the longer ones.
void shrink(const One& one, std::uint64_t seed) {
  for (int rounds = 1; rounds < Storm::kRounds; ++rounds) {
    ::testing::TestPartResultArray found;
    {
      ::testing::ScopedFakeTestPartResultReporter taken(::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ALL_THREADS, &found);
      run(one, seed, rounds);
    }
    if (found.size() == 0) continue;
    std::cout << "seed " << seed << " fails after " << rounds << " rounds (VERBUND_SIM_ROUNDS): " << found.GetTestPartResult(0).message() << "\n";
    return;
  }
}

/// With each seed until something fails.
void for_seeds(const One& one) {
  const auto number = [](const char* name, std::uint64_t fallback) {
    const char* text = std::getenv(name);
    return text == nullptr ? fallback : std::stoull(text);
  };
  const bool given = std::getenv("VERBUND_SIM_SEED") != nullptr;
  const auto first = number("VERBUND_SIM_SEED", std::random_device{}());
  const auto rounds = static_cast<int>(number("VERBUND_SIM_ROUNDS", Storm::kRounds));
  const auto count = given ? 1 : number("VERBUND_SIM_RUNS", 3);
  for (auto seed = first; seed < first + count && !::testing::Test::HasFailure(); ++seed) {
    run(one, seed, rounds);
    if (::testing::Test::HasFailure() && rounds == Storm::kRounds) shrink(one, seed);
  }
}

TEST(Oracle, AtRestEveryDeviceHasWhatItsFilterSaysAndEveryChangeIsDecided) {
  for_seeds([](Random& random, int rounds) {
    SyncScene scene;
    Practice practice;
    Storm(scene, practice, random, rounds).run();
  });
}

TEST(Oracle, TheSameWhereOtherTablesSayWhoSeesARow) {
  for_seeds([](Random& random, int rounds) {
    SyncScene scene(Tours::kTables, Tours::captured());
    Tours tours;
    Storm(scene, tours, random, rounds).run();
  });
}

TEST(Oracle, TheSameOfTablesThatNobodyHasThoughtOf) {
  for_seeds([](Random& random, int rounds) {
    RandomSchema schema(random);
    SCOPED_TRACE(schema.definition());
    SyncScene scene(schema.definition(), schema.captured());
    Storm(scene, schema, random, rounds).run();
  });
}

}  // namespace
}  // namespace verbund::sync
