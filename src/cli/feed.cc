/// verbund feed preflight | suggest: what a foreign database needs, and which records it holds.
#include "cli/adoption.h"
#include "records/catalog_snapshot.h"
#include "records/suggest.h"

namespace verbund::cli {
namespace {

struct Options {
  std::string database;
  std::size_t limit = records::kMaxSuggestions;
};

/// The named server, else the installation's source database.
Result<postgres::ConnectionSettings> source_of(const Globals& globals, const std::string& connection) {
  if (!connection.empty()) return postgres::parse_connection_string(connection);
  auto installation = node::Installation::load(node::Installation::find(globals.dir.empty() ? std::nullopt : std::optional(globals.dir)));
  if (!installation) return pass(installation);
  return installation->application_connection();
}

std::string suggestions_json(const std::vector<records::SuggestedRecord>& suggestions) {
  std::string rows;
  for (const auto& record : suggestions) {
    std::string search, children;
    for (const auto& column : record.search) search += (search.empty() ? "" : ",") + json_string(column);
    for (const auto& child : record.children) {
      if (!child.keyless) children += (children.empty() ? "" : ",") + json_string(child.path);
    }
    rows += fmt::format(R"({}{{"type":{},"label":{},"schema":{},"table":{},"label_sql":{},"group_sql":{},"search":[{}],"children":[{}]}})",
                        rows.empty() ? "" : ",", json_string(record.type), json_string(record.label), json_string(record.schema),
                        json_string(record.table), json_string(record.label_sql), json_string(record.group_sql), search, children);
  }
  return fmt::format("{{\"records\":[{}]}}", rows);
}

int suggest(const Globals& globals, const Options& options) {
  auto settings = source_of(globals, options.database);
  if (!settings) return report(globals, settings.error());
  auto connection = postgres::Connection::open(*settings);
  if (!connection) return report(globals, connection.error());
  auto catalog = records::read_catalog(*connection);
  if (!catalog) return report(globals, catalog.error());
  const auto suggestions = records::suggest(*catalog, options.limit);
  if (globals.json) fmt::print("{}\n", suggestions_json(suggestions));
  else fmt::print("{}", records::suggestions_toml(suggestions, *catalog, globals.language));
  return 0;
}

}  // namespace

void add_feed(CLI::App& app, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto* command = app.add_subcommand("feed", text("the feed of changes from the database"));
  command->require_subcommand(1);
  add_feed_state(*command, globals, run);
  auto options = std::make_shared<Options>();
  auto* preflight = command->add_subcommand("preflight", text("look at an existing server and say what is missing; changes nothing"));
  auto* suggesting = command->add_subcommand("suggest", text("propose [[record]] blocks for config/verbund.toml from the catalog"));
  for (auto* sub : {preflight, suggesting}) {
    sub->add_option("--database", options->database, text("this server instead of the installation's (connection string)"));
  }
  suggesting->add_option("--limit", options->limit, text("how many record types at most"))->check(in_range(globals, 1, 100))->capture_default_str();
  preflight->callback([&globals, run, options] { run([&globals, options] { return check_adoption(globals, options->database); }); });
  suggesting->callback([&globals, run, options] { run([&globals, options] { return suggest(globals, *options); }); });
}

}  // namespace verbund::cli
