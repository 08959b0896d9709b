#include "node/adoption.h"

#include <set>

#include <boost/json.hpp>

#include "base/messages.h"
#include "node/feed_tables.h"
#include "platform/os/file.h"
#include "records/catalog_snapshot.h"
#include "records/record_types.h"

namespace verbund::node {
namespace {

namespace json = boost::json;
using postgres::Connection;

constexpr std::size_t kMaxRecordBytes = 64 * 1024;

std::filesystem::path record_of(const Installation& installation) { return installation.directory() / "adoption.json"; }

}  // namespace

AdoptedNames adopted_names(const Settings& settings) {
  return {settings.feed_slot, settings.feed_publication, {Installation::kMidTier, Installation::kVersions}};
}

Result<AdoptionPlan> plan_adoption(const postgres::ConnectionSettings& settings, const AdoptedNames& names, os::ConfigFile& config,
                                   bool adopted) {
  auto connection = Connection::open(settings);
  if (!connection) return pass(connection);
  auto types = records::RecordTypes::load(config, *connection);
  if (!types) return pass(types);
  feed::PreflightQuestion question;
  question.slot = names.slot;
  question.publication = names.publication;
  question.tables = tracked_tables(*types);
  question.databases = names.databases;
  question.adopted = adopted;
  auto preflight = feed::preflight(*connection, question);
  if (!preflight) return pass(preflight);
  AdoptionPlan plan{settings.shown(), names, std::move(*preflight), types->all().size(), {}, 0};
  std::set<std::pair<std::string, std::string>> named;
  for (const auto& table : question.tables) named.emplace(table.schema, table.table);
  auto catalog = records::read_catalog(*connection);
  if (!catalog) return pass(catalog);
  for (const auto& table : catalog->tables) {
    if (named.contains({table.schema, table.table})) continue;
    plan.of_no_record.push_back(table.schema + "." + table.table);
    if (table.key.empty()) ++plan.keyless;
  }
  return plan;
}

Result<AdoptionPlan> plan_adoption(Installation& installation) {
  auto settings = installation.configured_connection();
  if (!settings) return pass(settings);
  auto consented = adopted(installation);
  if (!consented) return pass(consented);
  return plan_adoption(*settings, adopted_names(installation.settings()), installation.config(), *consented);
}

Result<bool> adopted(const Installation& installation) {
  auto settings = installation.configured_connection();
  if (!settings) return pass(settings);
  auto text = os::read_file(record_of(installation), kMaxRecordBytes);
  if (!text && text.error().code == ErrorCode::kNotFound) return false;
  if (!text) return pass(text);
  boost::system::error_code error;
  const auto record = json::parse(*text, error);
  const auto* server = !error && record.is_object() ? record.as_object().if_contains("server") : nullptr;
  if (!server || !server->is_string()) {
    return fail(ErrorCode::kBadConfig, phrase("read {}: it is no record of a consent", record_of(installation).string()),
                phrase("remove the file; the next `verbund up` asks once more"));
  }
  return server->as_string() == settings->shown();
}

Status record_adoption(const Installation& installation, const AdoptionPlan& plan, const std::string& by, WallTime at) {
  json::array databases;
  for (const auto& database : plan.names.databases) databases.emplace_back(database);
  const json::object record{{"server", plan.server},           {"by", by},
                            {"at", to_iso8601(at)},            {"slot", plan.names.slot},
                            {"publication", plan.names.publication}, {"databases", databases},
                            {"tables", plan.preflight.captured.size()}};
  return os::write_file_atomically(record_of(installation), json::serialize(record) + "\n");
}

Status forget_adoption(const Installation& installation) {
  std::error_code error;
  std::filesystem::remove(record_of(installation), error);
  if (error) return fail(ErrorCode::kIo, phrase("remove {}: {}", record_of(installation).string(), error.message()));
  return {};
}

Status refuse_unready(const AdoptionPlan& plan) {
  std::size_t missing = 0;
  std::string statements;
  for (const auto& finding : plan.preflight.findings) {
    if (finding.severity != feed::Severity::kMissing) continue;
    ++missing;
    statements += fmt::format("{}{}{}{}", statements.empty() ? "" : "\n", finding.what.english(), finding.statement.empty() ? "" : ": ",
                              finding.statement);
  }
  if (missing == 0) return {};
  return fail(ErrorCode::kServerSetting, phrase("use the PostgreSQL server {}: it is not ready, {} things are missing", plan.server, missing),
              phrase("{}", statements));
}

}  // namespace verbund::node
