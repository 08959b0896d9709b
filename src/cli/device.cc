/// verbund device init|sync|status|rejects|resolve: an SQLite file that syncs with the office.
#include <unistd.h>

#include <boost/json.hpp>

#include "cli/command.h"
#include "platform/os/clock.h"
#include "sync/device/device.h"
#include "sync/device/https_transport.h"
#include "sync/model/code.h"

namespace verbund::cli {
namespace {

namespace json = boost::json;
using sync::device::Device;
using sync::device::SyncResult;

struct Words {
  std::string db, server, code, name, set;
  std::int64_t reject = 0;
  bool all = false, mine = false, dismiss = false;
};
using Given = std::shared_ptr<Words>;

os::SystemClock& the_clock() {
  static os::SystemClock clock;
  return clock;
}

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? std::string(name.data()) : std::string("device");
}

int init(const Globals& globals, const Words& words) {
  auto code = sync::parse_enrol_code(words.code);
  if (!code) return report(globals, code.error());
  const auto identity = sync::device::identity_of(words.server, *code);
  auto transport = sync::device::transport_to(identity);
  if (!transport) return report(globals, transport.error());
  auto device = Device::enrol(words.db, identity, {words.code, words.name.empty() ? host_name() : words.name}, **transport, the_clock());
  if (!device) return report(globals, device.error());
  auto status = device->status();
  if (!status) return report(globals, status.error());
  if (globals.json) {
    fmt::print("{}\n", json::serialize(json::object{{"device", status->id}, {"user", status->user}}));
  } else {
    fmt::print("{}\n", translated(globals.language, "device {} syncs for {}; now: verbund device sync --db {}", status->id, status->user, words.db));
  }
  return 0;
}

json::object report_json(const sync::device::SyncReport& done) {
  json::array sessions;
  for (const auto& session : done.sessions) {
    json::object one{{"subscription", session.subscription}, {"result", name_of(session.result)}, {"upserted", session.upserted}, {"deleted", session.deleted}, {"kept", session.kept}};
    if (session.error) one["message"] = session.error->message;
    sessions.push_back(std::move(one));
  }
  json::object object{{"result", name_of(done.result)}, {"sent", done.sent}, {"applied", done.applied}, {"rejected", done.rejected}, {"waiting", done.waiting}};
  object["sessions"] = std::move(sessions);
  if (done.error) object["code"] = wire_name(done.error->code), object["message"] = done.error->message;
  return object;
}

void show(const Globals& globals, const sync::device::SyncReport& done) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  std::vector<std::vector<std::string>> rows;
  for (const auto& session : done.sessions) {
    rows.push_back({session.subscription, shown_word(globals, name_of(session.result)), std::to_string(session.upserted), std::to_string(session.deleted),
                    session.error ? message_in(globals.language, *session.error) : session.kept > 0 ? translated(globals.language, "{} changed meanwhile", session.kept) : std::string()});
  }
  if (!rows.empty()) print_table({text("SUBSCRIPTION"), text("RESULT"), text("ROWS, FILES"), text("GONE"), ""}, rows);
  fmt::print("{}\n", translated(globals.language, "{} changes sent, {} applied, {} rejected, {} waiting", done.sent, done.applied, done.rejected, done.waiting));
}

int sync_now(const Globals& globals, const Words& words) {
  auto device = Device::open(words.db, the_clock());
  if (!device) return report(globals, device.error());
  auto identity = device->identity();
  if (!identity) return report(globals, identity.error());
  if (!words.server.empty()) *identity = {{words.server}, identity->trust};
  auto transport = sync::device::transport_to(*identity);
  if (!transport) return report(globals, transport.error());
  Interrupt interrupt;
  std::stop_source stop;
  std::jthread watching([&](const std::stop_token& over) {
    std::stop_callback wake(over, [&] { interrupt.wake(); });
    interrupt.wait();
    stop.request_stop();
  });
  sync::device::SyncEvents events;
  events.on_waiting = [&globals, last = std::uint64_t{0}](std::uint64_t place) mutable {
    if (!globals.json && std::exchange(last, place) != place) fmt::print(stderr, "{}\n", translated(globals.language, "the office is busy with other devices, {} before this one", place));
  };
  auto done = device->sync(**transport, words.set, events, stop.get_token());
  if (!done) return report(globals, done.error());
  if (globals.json) {
    fmt::print("{}\n", json::serialize(report_json(*done)));
  } else if (!done->error) {
    show(globals, *done);
  }
  if (done->error && !globals.json) return report(globals, *done->error);
  if (done->error) return exit_code(done->error->code);
  constexpr int kIncomplete = 10;
  return done->result == SyncResult::kSucceeded ? 0 : kIncomplete;
}

std::string plain(const json::value& value) { return value.is_string() ? std::string(value.get_string()) : value.is_null() ? std::string("–") : json::serialize(value); }

/// ["4711",3] as 4711, 3.
std::string key_text(const std::string& key) {
  boost::system::error_code failed;
  const auto parsed = json::parse(key, failed);
  if (failed || !parsed.is_array()) return key;
  std::string text;
  for (const auto& part : parsed.get_array()) text += (text.empty() ? "" : ", ") + plain(part);
  return text;
}

/// Of a row as JSON, the columns that are not the other's; all of them when there is no other.
std::string differing(const std::string& row, const std::string& other) {
  boost::system::error_code failed, other_failed;
  const auto parsed = json::parse(row, failed), compared = json::parse(other, other_failed);
  if (failed || !parsed.is_object()) return row;
  std::string text;
  for (const auto& [name, value] : parsed.get_object()) {
    const auto* same = other_failed || !compared.is_object() ? nullptr : compared.get_object().if_contains(name);
    if (same == nullptr || *same != value) text += fmt::format("{}{} = {}", text.empty() ? "" : ", ", std::string_view(name), plain(value));
  }
  return text;
}

int status(const Globals& globals, const Words& words) {
  auto device = Device::open(words.db, the_clock());
  if (!device) return report(globals, device.error());
  auto status = device->status();
  if (!status) return report(globals, status.error());
  json::array tables;
  std::vector<std::vector<std::string>> rows;
  for (const auto& table : status->tables) {
    tables.push_back(json::object{{"subscription", table.subscription}, {"table", table.table}, {"rows", table.rows}, {"pending", table.pending}, {"last_error", table.last_error}});
    rows.push_back({table.subscription, table.table, std::to_string(table.rows), std::to_string(table.pending), table.last_error});
  }
  json::array folders;
  std::vector<std::vector<std::string>> folder_rows;
  for (const auto& folder : status->folders) {
    folders.push_back(json::object{{"subscription", folder.subscription}, {"direction", folder.up ? "up" : "down"}, {"files", folder.files}, {"waiting", folder.waiting}, {"last_error", folder.last_error}});
    folder_rows.push_back({folder.subscription, words.db + "-files/" + folder.subscription, std::to_string(folder.files), std::to_string(folder.waiting), folder.last_error});
  }
  if (globals.json) {
    fmt::print("{}\n", json::serialize(json::object{{"device", status->id}, {"user", status->user}, {"server", status->server}, {"last_sync", status->last_sync}, {"last_result", status->last_result},
                                                    {"pending", status->pending}, {"undecided", status->undecided}, {"rejects", status->rejects}, {"revoked", status->revoked}, {"lease_until", status->lease_until}, {"locked", status->locked}, {"tables", std::move(tables)}, {"folders", std::move(folders)}}));
    return 0;
  }
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  print_fields({{text("device"), status->id}, {text("user"), status->user}, {text("server"), status->server},
                {text("last sync"), status->last_sync.empty() ? "–" : local_time(status->last_sync) + " " + shown_word(globals, status->last_result)}, {text("changed here"), std::to_string(status->pending)},
                {text("not decided"), std::to_string(status->undecided)}, {text("rejected"), std::to_string(status->rejects)}});
  if (status->locked) {
    fmt::print("{}\n", translated(globals.language, "It was without its office for too long: its data are locked, the next sync brings them back."));
  } else if (!status->lease_until.empty()) {
    fmt::print("{}\n", translated(globals.language, "Without a sync it locks its data at {}.", local_time(status->lease_until)));
  }
  if (!status->revoked.empty()) fmt::print("{}\n", translated(globals.language, "The office has revoked this device at {}: its data were removed.", local_time(status->revoked)));
  if (!rows.empty()) print_table({text("SUBSCRIPTION"), text("TABLE"), text("ROWS"), text("CHANGED"), ""}, rows);
  if (!folder_rows.empty()) print_table({text("SUBSCRIPTION"), text("FOLDER"), text("FILES"), text("WAITING"), ""}, folder_rows);
  return 0;
}

int rejects(const Globals& globals, const Words& words) {
  auto device = Device::open(words.db, the_clock());
  if (!device) return report(globals, device.error());
  auto found = device->rejects(words.all);
  if (!found) return report(globals, found.error());
  json::array list;
  std::vector<std::vector<std::string>> rows;
  for (const auto& one : *found) {
    list.push_back(json::object{{"id", one.id}, {"subscription", one.subscription}, {"table", one.table}, {"op", one.op}, {"key", one.key}, {"reason", one.reason}, {"text", one.text}, {"mine", one.mine},
                                {"theirs", one.theirs}, {"at", one.at}, {"state", one.state}});
    rows.push_back({std::to_string(one.id), local_time(one.at), one.table, key_text(one.key), shown_reason(globals, one.reason), differing(one.mine, one.theirs), differing(one.theirs, one.mine)});
  }
  if (globals.json) {
    fmt::print("{}\n", json::serialize(list));
    return 0;
  }
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  if (rows.empty()) {
    fmt::print("{}\n", text("nothing was rejected"));
  } else {
    print_table({"ID", text("SINCE"), text("TABLE"), text("KEY"), text("REASON"), text("MINE"), text("THEIRS")}, rows);
  }
  return 0;
}

int resolve(const Globals& globals, const Words& words) {
  auto device = Device::open(words.db, the_clock());
  if (!device) return report(globals, device.error());
  const auto done = words.mine ? device->take_mine(words.reject) : device->dismiss(words.reject);
  if (!done) return report(globals, done.error());
  fmt::print("{}\n", globals.json ? "{}" : words.mine ? translated(globals.language, "it goes up again with the next sync") : translated(globals.language, "it has been seen"));
  return 0;
}

}  // namespace

void add_device(CLI::App& app, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto* command = app.add_subcommand("device", text("an SQLite file that syncs with the office"));
  command->require_subcommand(1);
  const auto given = std::make_shared<Words>();
  const auto about = [&](const char* verb, const std::string& help, auto what) {
    auto* sub = command->add_subcommand(verb, help);
    sub->add_option("--db", given->db, text("the file"))->required();
    sub->callback([&globals, run, given, what] { run([&globals, given, what] { return what(globals, *given); }); });
    return sub;
  };
  auto* enrolling = about("init", text("let this file sync; the code is made by `verbund sync device invite`"), init);
  enrolling->add_option("--server", given->server, text("HOST:PORT of the office's server"))->required();
  enrolling->add_option("--code", given->code, text("the code"))->required();
  enrolling->add_option("--name", given->name, text("what people call the device"));
  auto* syncing = about("sync", text("sync now"), sync_now);
  syncing->add_option("--set", given->set, text("this set alone"));
  syncing->add_option("--server", given->server, text("HOST:PORT, if it is another one now"));
  about("status", text("what the device has, and what has not gone up yet"), status);
  about("rejects", text("changes that were rejected"), rejects)->add_flag("--all", given->all, text("also those that are settled"));
  auto* resolving = about("resolve", text("settle a rejected change"), resolve);
  resolving->add_option("id", given->reject, text("its number"))->required();
  auto* mine = resolving->add_flag("--mine", given->mine, text("it goes up again, over the row of now"));
  resolving->add_flag("--dismiss", given->dismiss, text("it has been seen (as without it)"))->excludes(mine);
}

}  // namespace verbund::cli
