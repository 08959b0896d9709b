/// verbund mirror lost: what a rejoin has given up, with the names that the tables have now.
#include <boost/json.hpp>

#include "base/messages.h"
#include "cli/mirror.h"
#include "node/command_server.h"
#include "node/installation.h"
#include "platform/os/file.h"
#include "platform/postgres/connection.h"

namespace verbund::cli {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr std::size_t kMostBytes = 256U << 20U;  // node/mirror/lost.cc
constexpr std::string_view kBefore = "lost-", kBehind = ".json";

struct Options {
  std::string term;
};

std::string in(const json::value& value, std::string_view path) {
  const auto* object = value.if_object();
  return object != nullptr ? at(*object, path) : std::string();
}

/// The newest list, or that of a term.
Result<fs::path> list_of(const fs::path& directory, const std::string& wanted) {
  std::optional<std::uint64_t> newest;
  std::error_code failed;
  for (auto entry = fs::directory_iterator(directory / "mirror", failed); !failed && entry != fs::directory_iterator(); entry.increment(failed)) {
    const auto name = entry->path().filename().string();
    if (!name.starts_with(kBefore) || !name.ends_with(kBehind)) continue;
    const auto text = name.substr(kBefore.size(), name.size() - kBefore.size() - kBehind.size());
    const auto term = parse_u64(text);
    if (term && (wanted.empty() || text == wanted)) newest = std::max(newest.value_or(0), *term);
  }
  if (failed && failed != std::errc::no_such_file_or_directory) return fail(ErrorCode::kIo, phrase("list {}: {}", (directory / "mirror").native(), failed.message()));
  if (!newest) return fail(ErrorCode::kNotFound, phrase("lost: this machine has given up nothing by a rejoin"));
  return directory / "mirror" / fmt::format("lost-{}.json", *newest);
}

/// "schema.table", or nothing: PostgreSQL's own, an index that has its number now, or no relation of today.
class Names {
 public:
  explicit Names(const node::Installation& installation) : installation_(installation) {}

  struct Named {
    std::string database, table;
    bool own = false;  ///< PostgreSQL's
  };
  Named of(const std::string& relation) {
    const auto first = relation.find('/'), second = relation.find('/', first + 1);
    if (first == std::string::npos || second == std::string::npos) return {};
    const auto tablespace = relation.substr(0, first), database = relation.substr(first + 1, second - first - 1), node = relation.substr(second + 1);
    auto& known = databases_[database];
    if (!known.asked) ask(database, known);
    Named named{known.name, {}, false};
    if (!known.connection) return named;
    auto rows = known.connection->query("SELECT n.nspname || '.' || c.relname, n.nspname IN ('pg_catalog', 'pg_toast', 'information_schema') FROM pg_class c "
                                        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = pg_filenode_relation($1::oid, $2::oid)", {tablespace, node});
    if (!rows || rows->size() == 0) return named;
    named.table = std::string(rows->text(0, 0));
    named.own = rows->text(0, 1) == "t";
    return named;
  }

 private:
  struct Database {
    bool asked = false;
    std::string name;
    std::optional<postgres::Connection> connection;
  };

  void ask(const std::string& number, Database& into) {
    into.asked = true;
    if (!by_number_) {
      by_number_.emplace();
      auto postgres = open("postgres");
      auto rows = postgres ? postgres->query("SELECT oid, datname FROM pg_database") : Result<postgres::Rows>(pass(postgres));
      for (int row = 0; rows && row < rows->size(); ++row) by_number_->emplace(rows->text(row, 0), rows->text(row, 1));
    }
    const auto found = by_number_->find(number);
    if (found == by_number_->end()) return;
    into.name = found->second;
    if (auto opened = open(into.name)) into.connection = std::move(*opened);
  }
  Result<postgres::Connection> open(const std::string& database) const {
    auto settings = node::CommandServer::connection(installation_, database);
    if (!settings) return pass(settings);
    return postgres::Connection::open(*settings, seconds{3});
  }

  const node::Installation& installation_;
  std::optional<std::map<std::string, std::string>> by_number_;
  std::map<std::string, Database> databases_;
};

/// With the names, so that programs need not look for them.
void name_rows(const node::Installation& installation, json::object& list) {
  auto* rows = list.if_contains("rows");
  if (rows == nullptr || !rows->is_array()) return;
  Names names(installation);
  for (auto& row : rows->get_array()) {
    if (!row.is_object()) continue;
    const auto named = names.of(in(row, "relation"));
    row.as_object()["database"] = named.database;
    row.as_object()["table"] = named.table;
    row.as_object()["system"] = named.own;
  }
}

void print(const Globals& globals, const json::object& list) {
  const auto say = [&](const char* msgid, const auto&... args) { fmt::print("{}\n", translated(globals.language, msgid, args...)); };
  say("Listed at {}, in term {}.", local_time(at(list, "listed")), at(list, "term"));
  if (const auto why = at(list, "not_readable"); !why.empty()) return say("What was lost could not be listed: {}. The old data were kept: `verbund mirror release`.", retold(globals.language, why));
  const auto* transactions = list.if_contains("transactions");
  if (transactions == nullptr || !transactions->is_array() || transactions->get_array().empty()) return say("Nothing was lost: no transaction had been committed beyond the point from which the other machine went on.");
  const auto& all = transactions->get_array();
  say("{} transactions were given up, committed from {} to {}.", all.size(), in(all.front(), "time"), in(all.back(), "time"));
  std::vector<std::vector<std::string>> table;
  const auto* rows = list.if_contains("rows");
  if (rows == nullptr || !rows->is_array()) return;
  for (const auto& row : rows->get_array()) {
    if (in(row, "system") == "true") continue;
    auto name = in(row, "table");
    if (name.empty()) name = translated(globals.language, "not known today ({})", in(row, "relation"));
    table.push_back({in(row, "database"), name, in(row, "inserted"), in(row, "updated"), in(row, "deleted")});
  }
  const auto label = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  print_table({label(msgid("database")), label(msgid("table")), label(msgid("new")), label(msgid("changed")), label(msgid("deleted"))}, table);
}

int lost(const Globals& globals, const Options& options) {
  const auto directory = node::Installation::find(globals.dir.empty() ? std::nullopt : std::optional(globals.dir));
  auto installation = node::Installation::load(directory);
  if (!installation) return report(globals, installation.error());
  const auto file = list_of(directory, options.term);
  if (!file) return report(globals, file.error());
  const auto text = os::read_file(*file, kMostBytes);
  if (!text) return report(globals, text.error());
  boost::system::error_code broken;
  auto list = json::parse(*text, broken);
  if (broken || !list.is_object()) return report(globals, make_error(ErrorCode::kDamaged, phrase("read {}: it is not as it was written", file->native())));
  name_rows(*installation, list.as_object());
  if (globals.json) {
    fmt::print("{}\n", json::serialize(list));
  } else {
    print(globals, list.as_object());
  }
  return 0;
}

}  // namespace

void add_mirror_lost(CLI::App& mirror, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto options = std::make_shared<Options>();
  auto* command = mirror.add_subcommand("lost", text(msgid("what this machine has given up by its last rejoin: transactions, and rows by table")));
  command->add_option("term", options->term, text(msgid("another list than the newest: its term")))->option_text("TERM");
  command->callback([&globals, run, options] { run([&globals, options] { return lost(globals, *options); }); });
}

}  // namespace verbund::cli
