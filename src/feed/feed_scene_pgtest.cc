#include "feed/feed_scene.h"

#include <gtest/gtest.h>

namespace verbund::feed::testing_scene {
namespace {

constexpr seconds kPatience{60};

constexpr std::string_view kPractice = R"(
  CREATE TABLE patient (id integer PRIMARY KEY, name text, letter text);
  CREATE TABLE encounter (id integer PRIMARY KEY, patient_id integer REFERENCES patient ON DELETE CASCADE ON UPDATE CASCADE,
                          kind text);
  CREATE TABLE observation (encounter_id integer REFERENCES encounter ON DELETE CASCADE ON UPDATE CASCADE, line integer,
                            seen text, PRIMARY KEY (encounter_id, line));
  CREATE TABLE card (id integer PRIMARY KEY, code text UNIQUE NOT NULL, patient_id integer);
  CREATE TABLE stamp (id integer PRIMARY KEY, card_code text, made timestamptz, price numeric, weight double precision, raw bytea);
  CREATE TABLE note (text text);
)";

Hop hop(std::string column, std::string parent, std::string parent_column) {
  return {{std::move(column)}, "public", std::move(parent), {std::move(parent_column)}};
}

std::unique_ptr<postgres::Connection> connect(const postgres::ConnectionSettings& settings) {
  auto connection = postgres::Connection::open(settings);
  if (!connection) throw std::runtime_error(connection.error().message);
  return std::make_unique<postgres::Connection>(std::move(*connection));
}

std::string one_value(postgres::Connection& connection, std::string_view query) {
  auto rows = connection.query(query);
  if (!rows) throw std::runtime_error(rows.error().message);
  return rows->size() == 0 ? "" : std::string(rows->text(0, 0));
}

}  // namespace

Scene::Scene() {
  auto& server = testing::ScratchPostgres::shared();
  settings_.source = server.database("praxis");
  settings_.mid_tier = server.database("mitte");
  settings_.slot = "slot_" + settings_.source.database;
  settings_.term = Term{1};
  settings_.upkeep_every = milliseconds{100};
  settings_.tables = {
      {"public", "patient", "patient", {}},
      {"public", "encounter", "patient", {hop("patient_id", "patient", "id")}},
      {"public", "observation", "patient", {hop("encounter_id", "encounter", "id"), hop("patient_id", "patient", "id")}},
      {"public", "stamp", "patient", {hop("card_code", "card", "code"), hop("patient_id", "patient", "id")}},
      {"public", "note", "patient", {}},
  };
  reconnect();
  sql(kPractice);
  const postgres::MigrationSet sets[] = {migrations()};
  if (auto migrated = postgres::migrate(*mid_tier_, sets, log_); !migrated) throw std::runtime_error(migrated.error().message);
}

Scene::~Scene() {
  stop();
  free_slot();
  auto dropped = source_->query("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1", {settings_.slot});
  if (!dropped) ADD_FAILURE() << dropped.error().message;
}

void Scene::reconnect() {
  source_ = connect(settings_.source);
  mid_tier_ = connect(settings_.mid_tier);
}

void Scene::start() {
  FeedEvents events;
  events.on_transaction = [this](TransactionEvent event) {
    const std::lock_guard guard(mutex_);
    events_.push_back(std::move(event));
    changed_.notify_all();
  };
  events.on_passed = [this](Lsn) { changed_.notify_all(); };
  events.on_snapshot = [this](const std::string& reason, const Cursor&) {
    const std::lock_guard guard(mutex_);
    snapshots_.push_back(reason);
  };
  feed_ = std::make_unique<Feed>(settings_, std::move(events), clock_, log_, counters_);
  if (auto started = feed_->start(); !started) throw std::runtime_error(started.error().message);
}

void Scene::free_slot() {
  const std::string query = fmt::format("SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{}' AND active", settings_.slot);
  if (!waited_for([&] { return value(query) == "0"; })) ADD_FAILURE() << "the slot stays active";
}

void Scene::sql(std::string_view statements) {
  if (auto done = source_->execute(statements); !done) throw std::runtime_error(done.error().message);
}

std::string Scene::value(std::string_view query) { return one_value(*source_, query); }
std::string Scene::mid_tier_value(std::string_view query) { return one_value(*mid_tier_, query); }

bool Scene::waited_for(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  std::unique_lock guard(mutex_);
  for (;;) {
    guard.unlock();
    if (condition()) return true;
    guard.lock();
    if (std::chrono::steady_clock::now() >= deadline) return false;
    changed_.wait_for(guard, milliseconds{20});
  }
}

void Scene::settle() {
  const auto target = parse_lsn(value("SELECT pg_current_wal_insert_lsn()"));
  if (!waited_for([&] { return feed_->passed() >= *target; })) {
    throw std::runtime_error("the feed does not pass " + to_string(*target) + ": " + feed_->status().reason);
  }
}

std::vector<TransactionEvent> Scene::events() {
  const std::lock_guard guard(mutex_);
  return events_;
}

std::vector<std::string> Scene::snapshots() {
  const std::lock_guard guard(mutex_);
  return snapshots_;
}

std::vector<std::string> Scene::told(std::size_t count) {
  waited_for([&] { return events().size() >= count; });
  settle();
  std::vector<std::string> texts;
  for (const TransactionEvent& event : events()) texts.push_back(shown(event));
  return texts;
}

std::string Scene::differences() {
  std::string all;
  for (const auto& [schema, table] : {std::pair("public", "patient"), {"public", "encounter"}, {"public", "observation"},
                                      {"public", "card"}, {"public", "stamp"}}) {
    all += difference(schema, table);
  }
  return all;
}

std::string Scene::difference(std::string_view schema, std::string_view table) {
  const std::string text = "SET datestyle = 'ISO,YMD'; SET extra_float_digits = 3; SET timezone = 'UTC'; SET bytea_output = 'hex'";
  sql(text);
  const std::string shadow = mid_tier_value(fmt::format(
      "SELECT shadow FROM feed.source_table WHERE schema_name = '{}' AND table_name = '{}'", schema, table));
  if (shadow.empty()) return fmt::format("{} has no shadow\n", table);
  const std::string columns = value(fmt::format(
      "SELECT string_agg(format('%I', attname), ', ' ORDER BY attnum) FROM pg_attribute"
      " WHERE attrelid = '{}'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''", quoted(schema, table)));
  const auto rows_of = [&](postgres::Connection& connection, const std::string& from) {
    std::multiset<std::string> rows;
    auto status = connection.copy_out(fmt::format("COPY (SELECT {} FROM {}) TO STDOUT", columns, from), [&](std::string_view row) {
      rows.emplace(row);
      return true;
    });
    // The shadow may not have the source's columns yet.
    if (!status) rows = {"", status.error().message};
    return rows;
  };
  // Children by inheritance are tables of their own, partitions are not.
  const bool parted = value(fmt::format("SELECT relkind FROM pg_class WHERE oid = '{}'::regclass", quoted(schema, table))) == "p";
  const auto theirs = rows_of(*source_, (parted ? "" : "ONLY ") + quoted(schema, table));
  const auto ours = rows_of(*mid_tier_, quoted("feed", shadow));
  if (theirs == ours) return {};
  return fmt::format("{}: {} rows in the source, {} in the shadow, not equal\n", table, theirs.size(), ours.size());
}

std::string Scene::state_of(std::string_view table) {
  auto tables = feed_->tables();
  if (!tables) throw std::runtime_error(tables.error().message);
  for (const TableStatus& each : *tables) {
    if (each.table != table) continue;
    const std::string state = each.state == TableState::kCaptured ? "captured" : each.state == TableState::kPaused ? "paused" : "excluded";
    return each.reason.empty() ? state : state + ": " + each.reason;
  }
  return {};
}

std::string shown(const TransactionEvent& event) {
  std::string text;
  const auto next = [&]() -> std::string& { return text += text.empty() ? "" : "; "; };
  for (const RecordEvent& record : event.records) {
    next() += record.op == RecordEvent::Op::kInsert ? 'I' : record.op == RecordEvent::Op::kDelete ? 'D' : 'U';
    text += " " + to_string(record.key);
    if (record.was) text += " was " + record.was->id;
    text += fmt::format(" [{}]", fmt::join(record.tables, ","));
  }
  for (const auto& [type, count] : event.bulk) next() += fmt::format("bulk {} {}", type, count);
  for (const std::string& type : event.truncated) next() += "truncated " + type;
  if (event.by) next() += fmt::format("by {}", event.by.value);
  return text;
}

}  // namespace verbund::feed::testing_scene
