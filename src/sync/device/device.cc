#include "sync/device/device.h"

#include <fmt/format.h>

#include "base/messages.h"
#include "sync/device/folders.h"
#include "sync/device/kept_json.h"
#include "sync/device/lease.h"
#include "sync/device/sync_run.h"
#include "sync/device/wipe.h"

namespace verbund::sync::device {
namespace {

using sqlite::Database;
using sqlite::quote_name;

constexpr milliseconds kPatience{10'000};

Error no_device(const std::filesystem::path& file) {
  return make_error(ErrorCode::kNotFound, phrase("{} is no device's database", file.string()), phrase("Enrol it first: `verbund device init`."));
}

Status check_is_device(Database& database, const std::filesystem::path& file) {
  auto version = database.value("SELECT CASE WHEN EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'verbund_device') THEN 'yes' END");
  if (!version) return pass(version);
  if (*version != "yes") return std::unexpected(no_device(file));
  auto known = database.value("SELECT version FROM verbund_device");
  if (!known) return pass(known);
  if (*known != "1") return fail(ErrorCode::kUnsupported, phrase("{} is a device's database of version {}; this program knows 1", file.string(), *known));
  return {};
}

/// Foreign keys are the application's: a session is whole only at its end, and is looked at then.
Status settle_in(Database& database) { return database.execute("PRAGMA foreign_keys = OFF; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -32768; PRAGMA temp_store = MEMORY"); }

Value json_value(const boost::json::value& value, Kind kind) {
  if (value.is_int64()) return value.get_int64();
  if (value.is_uint64()) return static_cast<std::int64_t>(value.get_uint64());
  if (value.is_double()) return value.get_double();
  if (!value.is_string()) return {};
  const std::string text(value.get_string());
  return kind == Kind::kBytes ? value_of(kind, text).value_or(Value{}) : Value{text};
}

}  // namespace

Result<Device> Device::open(const std::filesystem::path& file, const Clock& clock) {
  std::error_code unknown;
  if (!std::filesystem::exists(file, unknown) && !unknown) return std::unexpected(no_device(file));
  auto database = Database::open(file, Database::Mode::kOpen, kPatience);
  if (!database) return pass(database);
  if (auto known = check_is_device(*database, file); !known) return pass(known);
  if (auto settled = settle_in(*database); !settled) return pass(settled);
  // Somebody else holds the file: what is locked is locked, the rest comes with the next opening.
  if (auto kept = keep_lease(*database, file, clock.wall()); !kept && kept.error().code != ErrorCode::kInUse) return pass(kept);
  return Device(std::move(*database), file, clock);
}

Result<Device> Device::enrol(const std::filesystem::path& file, const Identity& identity, const EnrolRequest& request, DeviceTransport& transport, const Clock& clock) {
  auto database = Database::open(file, Database::Mode::kCreate, kPatience);
  if (!database) return pass(database);
  // The code is good for one time: nothing but a file that is fit for it may spend it.
  auto known = check_is_device(*database, file);
  if (known) return fail(ErrorCode::kAlreadyExists, phrase("{} is a device's database already", file.string()));
  if (known.error().code != ErrorCode::kNotFound) return pass(known);
  auto answer = transport.call({"POST", "/api/device/enrol", "", encode(request)}, {});
  if (!answer) return pass(answer);
  if (answer->status != 200) return std::unexpected(error_of(*answer));
  auto reply = decode_enrol_reply(answer->body);
  if (!reply) return pass(reply);
  if (auto mode = database->value("PRAGMA journal_mode = WAL"); !mode) return pass(mode);
  auto transaction = database->begin();
  if (!transaction) return pass(transaction);
  if (auto made = make_own_tables(*database); !made) return pass(made);
  auto insert = database->prepare("INSERT INTO verbund_device (only_one, version, id, secret, user_name, server, trust) VALUES (1, 1, ?, ?, ?, ?, ?)");
  if (!insert) return pass(insert);
  if (auto done = insert->text(1, reply->device).text(2, reply->secret).text(3, reply->user).text(4, identity.servers.front()).text(5, identity.trust).run(); !done) return pass(done);
  if (auto committed = transaction->commit(); !committed) return pass(committed);
  if (auto settled = settle_in(*database); !settled) return pass(settled);
  return Device(std::move(*database), file, clock);
}

Result<Device::Identity> Device::identity() {
  auto server = database_.value("SELECT server FROM verbund_device");
  if (!server) return pass(server);
  auto trust = database_.value("SELECT trust FROM verbund_device");
  if (!trust) return pass(trust);
  Identity identity{{std::move(*server)}, std::move(*trust)};
  auto there = database_.value("SELECT 1 FROM sqlite_schema WHERE name = 'verbund_server'");
  if (!there) return pass(there);
  if (*there != "1") return identity;
  auto others = database_.prepare("SELECT address, answered FROM verbund_server ORDER BY answered DESC, position");
  if (!others) return pass(others);
  for (;;) {
    auto more = others->step();
    if (!more) return pass(more);
    if (!*more) return identity;
    const bool last = others->integer(1) == 1;
    identity.servers.emplace(last ? identity.servers.begin() : identity.servers.end(), others->text(0));
  }
}

Result<SyncReport> Device::sync(DeviceTransport& transport, const std::string& set, const SyncEvents& events, std::stop_token stop) {
  auto revoked = revoked_at(database_);
  if (!revoked) return pass(revoked);
  SyncReport over;
  over.error = Error{ErrorCode::kRevoked, {}, {}};
  auto report = revoked->empty() ? SyncRun(database_, file_, *clock_, transport, events, std::move(stop)).run(set) : Result<SyncReport>(std::move(over));
  if (!report || !report->error || report->error->code != ErrorCode::kRevoked) return report;
  // Once more at each sync until it came to its end: another program may have held the file.
  if (auto wiped = wipe(database_, file_, clock_->wall()); !wiped) return pass(wiped);
  report->result = SyncResult::kFailed;
  report->error = make_error(ErrorCode::kRevoked, phrase("sync: the office has revoked this device, and its data were removed"), phrase("Was that a mistake? Enrol a new file: `verbund sync device invite` there, `verbund device init` here."));
  return report;
}

Result<DeviceStatus> Device::status() {
  DeviceStatus status;
  auto row = database_.prepare("SELECT id, user_name, server, last_sync, last_result, (SELECT coalesce(sum(rows), 0) FROM verbund_upload) - (SELECT count(*) FROM verbund_outcome),"
                               " (SELECT count(*) FROM verbund_reject WHERE state = 'open') FROM verbund_device");
  if (!row) return pass(row);
  auto there = row->step();
  if (!there) return pass(there);
  status.id = std::string(row->text(0));
  status.user = std::string(row->text(1));
  status.server = std::string(row->text(2));
  status.last_sync = std::string(row->text(3));
  status.last_result = std::string(row->text(4));
  status.undecided = static_cast<std::uint64_t>(row->integer(5));
  status.rejects = static_cast<std::uint64_t>(row->integer(6));
  row->reset();
  auto revoked = revoked_at(database_);
  if (!revoked) return pass(revoked);
  status.revoked = std::move(*revoked);
  auto lease = lease_of(database_);
  if (!lease) return pass(lease);
  status.lease_until = std::move(lease->until);
  status.locked = lease->locked;
  auto tables = database_.prepare("SELECT name, layout, last_error FROM verbund_subscription ORDER BY name");
  if (!tables) return pass(tables);
  for (;;) {
    auto more = tables->step();
    if (!more) return pass(more);
    if (!*more) break;
    auto layout = read_kept_layout(tables->text(1), tables->text(0));
    if (!layout) return pass(layout);
    auto rows = database_.value("SELECT count(*) FROM " + quote_name(layout->table));
    if (!rows) return pass(rows);
    auto pending = count_changes(database_, *layout);
    if (!pending) return pass(pending);
    status.pending += *pending;
    status.tables.push_back({std::string(tables->text(0)), layout->table, std::string(tables->text(2)), std::stoull(*rows), *pending});
  }
  auto folders = folder_status(database_, file_);
  if (!folders) return pass(folders);
  status.folders = std::move(*folders);
  return status;
}

Result<std::vector<Reject>> Device::rejects(bool all) {
  auto rows = database_.prepare(fmt::format("SELECT id, subscription, table_name, op, key, reason, text, coalesce(mine, ''), coalesce(theirs, ''), at, state FROM verbund_reject{} ORDER BY id",
                                            all ? "" : " WHERE state = 'open'"));
  if (!rows) return pass(rows);
  std::vector<Reject> found;
  for (;;) {
    auto more = rows->step();
    if (!more) return pass(more);
    if (!*more) return found;
    const auto text = [&](int column) { return std::string(rows->text(column)); };
    found.push_back({rows->integer(0), text(1), text(2), text(3), text(4), text(5), text(6), text(7), text(8), text(9), text(10)});
  }
}

Status Device::dismiss(std::int64_t reject) {
  if (auto done = database_.execute(fmt::format("UPDATE verbund_reject SET state = 'dismissed' WHERE id = {} AND state = 'open'", reject)); !done) return done;
  if (database_.changes() == 0) return fail(ErrorCode::kNotFound, phrase("reject {}: there is none, or it is settled", reject));
  return {};
}

namespace {

/// As the application would write it: the triggers note it as a change of the row as it is now.
std::string writing_of(const TableLayout& layout, bool deletes) {
  if (deletes) return fmt::format("DELETE FROM {} WHERE {}", quote_name(layout.table), key_condition(layout));
  std::string places, sets, key;
  for (std::size_t at = 0; at < layout.columns.size(); ++at) {
    places += fmt::format("{}?{}", at == 0 ? "" : ", ", at + 1);
    sets += fmt::format("{}{} = ?{}", at == 0 ? "" : ", ", quote_name(layout.columns[at].name), at + 1);
  }
  for (const auto place : layout.key) key += (key.empty() ? "" : ", ") + quote_name(layout.columns[place].name);
  return fmt::format("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT ({}) DO UPDATE SET {}", quote_name(layout.table), column_list(layout, ""), places, key, sets);
}

Error not_as_kept(std::int64_t reject) { return make_error(ErrorCode::kDamaged, phrase("reject {}: its row can't be read", reject)); }

/// The values that `writing_of` wants.
Status bind_rejected(sqlite::Statement& statement, const Reject& reject, const TableLayout& layout) {
  const bool deletes = reject.op == "D";
  auto kept = read_kept(deletes ? reject.key : reject.mine, fmt::format("reject {}", reject.id));
  if (!kept) return pass(kept);
  if (deletes) {
    const auto* key = kept->if_array();
    if (key == nullptr || key->size() != layout.key.size()) return std::unexpected(not_as_kept(reject.id));
    for (std::size_t at = 0; at < key->size(); ++at) bind_value(statement, static_cast<int>(at) + 1, json_value((*key)[at], layout.columns[layout.key[at]].kind));
    return {};
  }
  const auto* mine = kept->if_object();
  if (mine == nullptr) return std::unexpected(not_as_kept(reject.id));
  for (std::size_t at = 0; at < layout.columns.size(); ++at) {
    const auto* value = mine->if_contains(layout.columns[at].name);
    bind_value(statement, static_cast<int>(at) + 1, value == nullptr ? Value{} : json_value(*value, layout.columns[at].kind));
  }
  return {};
}

}  // namespace

Status Device::take_mine(std::int64_t id) {
  auto open = rejects(false);
  if (!open) return pass(open);
  const auto found = std::ranges::find(*open, id, &Reject::id);
  if (found == open->end()) return fail(ErrorCode::kNotFound, phrase("reject {}: there is none, or it is settled", id));
  auto text = database_.prepare("SELECT layout FROM verbund_subscription WHERE name = ?");
  if (!text) return pass(text);
  auto there = text->text(1, found->subscription).step();
  if (!there) return pass(there);
  if (!*there) return fail(ErrorCode::kNotFound, phrase("reject {}: the device has no {} any more", id, found->subscription));
  auto layout = read_kept_layout(text->text(0), found->subscription);
  if (!layout) return pass(layout);
  text->reset();
  auto transaction = database_.begin();
  if (!transaction) return pass(transaction);
  auto statement = database_.prepare(writing_of(*layout, found->op == "D"));
  if (!statement) return pass(statement);
  if (auto bound = bind_rejected(*statement, *found, *layout); !bound) return bound;
  if (auto done = statement->run(); !done) return done;
  if (auto noted = database_.execute(fmt::format("UPDATE verbund_reject SET state = 'taken again' WHERE id = {}", id)); !noted) return noted;
  return transaction->commit();
}

}  // namespace verbund::sync::device
