#include "sync/server/folder_service.h"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include "base/messages.h"
#include "platform/os/file.h"
#include "platform/os/random.h"
#include "sync/model/folder_messages.h"

namespace verbund::sync::server {
namespace {

using postgres::Connection;

constexpr seconds kDatabaseWait{10};
constexpr milliseconds kAskAgain{500};
constexpr std::uint64_t kLeftFree = 1ULL << 30U;
constexpr std::uint64_t kLargest = 16ULL << 30U;  // of a file from a device, when the rule says nothing
constexpr std::string_view kIncoming = "incoming";

/// As a part of the whole condition: $1 folder, $2 the path before, with its slash, $3 expression for names.
constexpr std::string_view kWithin = "f.folder = $1 AND starts_with(f.path, $2) AND ($3 = '' OR f.path ~* $3)";

std::string part_name(const DeviceIdentity& device, const std::string& hash) { return fmt::format("{}-{}", device.id, hash); }

std::int64_t signed_of(std::string_view text) { return std::strtoll(std::string(text).c_str(), nullptr, 10); }

}  // namespace

/// A subscription of files, for one user.
struct FolderService::View {
  Subscription rule;
  std::filesystem::path root;
  std::string before;  ///< "nord/anna/", or empty
  std::string names;   ///< expression_of
  std::optional<Bound> of;
  std::string rules;   ///< what of them says which files these are

  /// Over `f`.
  [[nodiscard]] std::string condition() const {
    std::string sql(kWithin);
    if (of) {
      sql += fmt::format(" AND strpos(substr(f.path, length($2) + 1), '/') > 0 AND split_part(substr(f.path, length($2) + 1), '/', 1) IN (SELECT s.verbund_key FROM {} s WHERE {})", of->shadow(), of->condition("s"));
    }
    return sql;
  }
  [[nodiscard]] std::vector<postgres::Parameter> parameters() const { return {rule.files.folder, before, names}; }
  [[nodiscard]] std::filesystem::path incoming() const { return root / files::kOwnFolder / kIncoming; }
};

FolderService::FolderService(Folders folders, FolderSurroundings surroundings)
    : surroundings_(std::move(surroundings)), index_(std::move(folders), surroundings_.clock, surroundings_.log) {}

Result<DeviceAnswer> FolderService::handle(const DeviceCall& call, const std::vector<std::string>& path, const DeviceIdentity& device) {
  const auto no_such = [&] { return fail(ErrorCode::kNotFound, phrase("{} {}: no such resource", call.method, call.target)); };
  if (path.size() < 2) return no_such();
  auto found = view(path[1], device);
  if (!found) return pass(found);
  auto mid_tier = surroundings_.mid_tier.acquire(Deadline::in(surroundings_.clock, kDatabaseWait));
  if (!mid_tier) return pass(mid_tier);
  if (path.size() == 2 && call.method == "POST") return list(**mid_tier, *found, call.body);
  if (path.size() == 3 && path[2] == "offer" && call.method == "POST") return offer(**mid_tier, *found, call.body, device);
  if (path.size() != 4) return no_such();
  const auto offset = parse_u64(path[3]);
  if (!is_file_hash(path[2]) || !offset || *offset > INT64_MAX) return fail(ErrorCode::kBadMessage, phrase("a call of a device: {} is no piece of a file", call.target));
  if (call.method == "GET") return piece(**mid_tier, *found, path[2], *offset);
  if (call.method == "PUT") return take(*found, path[2], *offset, call.body, device);
  return no_such();
}

Result<FolderService::View> FolderService::view(const std::string& subscription, const DeviceIdentity& device) {
  auto rules = surroundings_.directory.rules();
  if (!rules) return pass(rules);
  auto all = (*rules)->rules.of(device.user, {});
  if (!all) return pass(all);
  const auto rule = std::ranges::find_if(*all, [&](const Subscription* one) { return one->name == subscription && one->kind == SubscriptionKind::kFiles; });
  if (rule == all->end()) return fail(ErrorCode::kForbidden, phrase("device {} has no subscription {} of files", device.name, subscription));
  View found{.rule = **rule, .root = {}, .before = {}, .names = expression_of((*rule)->files.names), .of = {}, .rules = {}};
  auto root = index_.path_of(found.rule.files.folder);
  if (!root) return pass(root, phrase("subscription {}", subscription));
  found.root = std::move(*root);
  const auto* user = (*rules)->rules.user(device.user);
  for (const auto& part : path_parts(found.rule.files.path)) {
    const auto value = !part.starts_with(':') ? std::optional(part) : part == ":user" ? std::optional(device.user) : (*rules)->rules.parameter(*user, part.substr(1));
    if (!value || !is_path_part(*value)) return fail(ErrorCode::kForbidden, phrase("subscription {}: nobody has said what {} is for {}", subscription, part, device.user));
    found.before += *value + "/";
  }
  const auto version = (*rules)->versions.find(subscription);
  found.rules = fmt::format("{}\n{}\n{}\n{}", version == (*rules)->versions.end() ? 0 : version->second, device.generation, found.before, found.names);
  if (found.rule.files.of.empty()) return found;
  auto bound = surroundings_.bound(device, found.rule.files.of);
  if (!bound) return pass(bound, phrase("subscription {}", subscription));
  found.of = std::move(*bound);
  return found;
}

/// Another one when what a device knows of the folder's versions says nothing about which files are its own: other rules, rows, another history.
Result<std::string> FolderService::shape_of(Connection& mid_tier, const View& view) const {
  const auto keys = view.of ? fmt::format("(SELECT coalesce(md5(string_agg(s.verbund_key, '/' ORDER BY s.verbund_key)), '') FROM {} s WHERE {})", view.of->shadow(), view.of->condition("s")) : "''";
  auto rows = mid_tier.query(fmt::format("SELECT history_id, {} FROM feed.position", keys));
  if (!rows) return pass(rows, phrase("subscription {}", view.rule.name));
  if (rows->size() != 1) return fail(ErrorCode::kUnavailable, phrase("sync: the feed has no position yet"));
  constexpr std::size_t kDigits = 16;
  return os::blake2b_hex(fmt::format("{}\n{}\n{}", view.rules, rows->text(0, 0), rows->text(0, 1))).substr(0, kDigits);
}

Status FolderService::within_limits(Connection& mid_tier, const View& view) const {
  const auto& rule = view.rule;
  if (rule.max_rows == 0 && rule.max_bytes == 0) return {};
  auto rows = mid_tier.query(fmt::format("SELECT count(*), coalesce(sum(bytes), 0)::bigint FROM sync.file f WHERE {} AND f.gone IS NULL", view.condition()), view.parameters());
  if (!rows) return pass(rows, "sync.file");
  const auto files = parse_u64(rows->text(0, 0)).value_or(0), bytes = parse_u64(rows->text(0, 1)).value_or(0);
  if (rule.max_rows != 0 && files > rule.max_rows) return fail(ErrorCode::kTooLarge, phrase("subscription {}: {} files, {} are allowed", rule.name, files, rule.max_rows));
  if (rule.max_bytes != 0 && bytes > rule.max_bytes) return fail(ErrorCode::kTooLarge, phrase("subscription {}: {} bytes of files, {} are allowed", rule.name, bytes, rule.max_bytes));
  return {};
}

Result<DeviceAnswer> FolderService::list(Connection& mid_tier, const View& view, const std::string& body) {
  auto cursor = decode_folder_cursor(body);
  if (!cursor) return pass(cursor);
  auto shape = shape_of(mid_tier, view);
  if (!shape) return pass(shape);
  FolderPage page;
  page.cursor.shape = std::move(*shape);
  if (view.rule.direction == Direction::kUp) return DeviceAnswer{200, encode(page)};
  auto left = index_.look(mid_tier, view.rule.files.folder, surroundings_.reading);
  if (!left) return pass(left, phrase("subscription {}", view.rule.name));
  if (*left > 0) return DeviceAnswer{202, boost::json::serialize(boost::json::object{{"left", *left}, {"retry_ms", kAskAgain.count()}})};
  if (auto within = within_limits(mid_tier, view); !within) return pass(within);
  auto stand = mid_tier.query("SELECT version, known_since FROM sync.folder WHERE name = $1", {view.rule.files.folder});
  if (!stand) return pass(stand, "sync.folder");
  const auto version = stand->size() == 0 ? 0 : parse_u64(stand->text(0, 0)).value_or(0);
  const auto since = stand->size() == 0 ? 0 : parse_u64(stand->text(0, 1)).value_or(0);
  page.whole = cursor->shape != page.cursor.shape || cursor->version > version || cursor->version == 0 || cursor->version < since;
  page.cursor.version = page.whole ? 0 : cursor->version;
  auto parameters = view.parameters();
  parameters.emplace_back(std::to_string(page.cursor.version));
  parameters.emplace_back(std::to_string(kFolderPageFiles));
  auto rows = mid_tier.query(fmt::format("SELECT f.path, f.version, f.bytes, f.hash, f.modified_ns / 1000000, f.gone IS NOT NULL FROM sync.file f WHERE {} AND f.version > $4::bigint{} ORDER BY f.version LIMIT $5::integer",
                                         view.condition(), page.whole ? " AND f.gone IS NULL" : ""),
                             parameters);
  if (!rows) return pass(rows, "sync.file");
  for (int row = 0; row < rows->size(); ++row) {
    auto path = std::string(rows->text(row, 0).substr(view.before.size()));
    page.cursor.version = parse_u64(rows->text(row, 1)).value_or(0);
    if (!is_file_path(path)) continue;  // longer than a device takes, or with control characters
    if (rows->text(row, 5) == "t") {
      page.gone.push_back(std::move(path));
    } else {
      page.files.push_back({std::move(path), parse_u64(rows->text(row, 2)).value_or(0), std::string(rows->text(row, 3)), std::max<std::int64_t>(0, signed_of(rows->text(row, 4)))});
    }
  }
  page.more = rows->size() == static_cast<int>(kFolderPageFiles);
  if (!page.more) page.cursor.version = std::max(version, page.cursor.version);
  return DeviceAnswer{200, encode(page)};
}

Result<DeviceAnswer> FolderService::piece(Connection& mid_tier, const View& view, const std::string& hash, std::uint64_t offset) {
  const auto gone = [&] { return fail(ErrorCode::kNotFound, phrase("subscription {}: there is no such file any more", view.rule.name)); };
  if (view.rule.direction == Direction::kUp) return gone();
  auto parameters = view.parameters();
  parameters.emplace_back(hash);
  constexpr int kTried = 4;
  auto rows = mid_tier.query(fmt::format("SELECT f.path, f.bytes, f.modified_ns, f.changed_ns FROM sync.file f WHERE {} AND f.gone IS NULL AND f.hash = $4 LIMIT {}", view.condition(), kTried), parameters);
  if (!rows) return pass(rows, "sync.file");
  for (int row = 0; row < rows->size(); ++row) {
    const files::Entry file{std::string(rows->text(row, 0)), false, parse_u64(rows->text(row, 1)).value_or(0), signed_of(rows->text(row, 2)), signed_of(rows->text(row, 3)), 0};
    auto piece = files::read_piece(view.root, file, offset, kFilePieceBytes);
    if (piece) return DeviceAnswer{200, std::move(*piece)};
    if (piece.error().code != ErrorCode::kNotFound) return pass(piece);
    index_.look_again(view.rule.files.folder);
  }
  return gone();
}

Status FolderService::may_take(Connection& mid_tier, const View& view, const FileEntry& file) const {
  const auto& rule = view.rule;
  if (rule.direction != Direction::kUp) return fail(ErrorCode::kForbidden, phrase("subscription {}: files come from the office, not from devices", rule.name));
  const auto most = rule.max_bytes == 0 ? kLargest : rule.max_bytes;
  if (file.bytes > most) return fail(ErrorCode::kTooLarge, phrase("subscription {}: {} has {} bytes, {} are allowed", rule.name, file.path, file.bytes, most));
  // One row as the table would have it, held against the same condition.
  auto parameters = view.parameters();
  parameters.emplace_back(view.before + file.path);
  auto fits = mid_tier.query(fmt::format("SELECT 1 FROM (SELECT $1::text AS folder, $4::text AS path) f WHERE {}", view.condition()), parameters);
  if (!fits) return pass(fits, phrase("subscription {}", rule.name));
  if (fits->size() == 1 && !file.path.starts_with(files::kOwnFolder)) return {};
  return fail(ErrorCode::kForbidden, phrase("subscription {}: a file called {} is none of those that this device may bring", rule.name, file.path));
}

Result<DeviceAnswer> FolderService::offer(Connection& mid_tier, const View& view, const std::string& body, const DeviceIdentity& device) {
  auto file = decode_file_entry(body);
  if (!file) return pass(file);
  const std::vector<postgres::Parameter> which{std::to_string(device.id), view.rule.name, file->path, file->hash};
  auto taken = mid_tier.query("SELECT stored FROM sync.file_taken WHERE device = $1::bigint AND subscription = $2 AND path = $3 AND hash = $4", which);
  if (!taken) return pass(taken, "sync.file_taken");
  if (taken->size() == 1) return DeviceAnswer{200, encode(FileTaken{0, std::string(taken->text(0, 0))})};
  if (auto may = may_take(mid_tier, view, *file); !may) return pass(may);
  files::Parts parts(view.incoming());
  const auto name = part_name(device, file->hash);
  const auto have = parts.begun(name);
  if (have > file->bytes) {
    if (auto gone = parts.forget(name); !gone) return pass(gone);
    return DeviceAnswer{200, encode(FileTaken{})};
  }
  if (have < file->bytes) {
    auto room = os::free_bytes(view.root);
    if (!room) return pass(room);
    if (*room < kLeftFree + file->bytes - have) return fail(ErrorCode::kDiskFull, phrase("take {}: {} MB are needed, {} MB are free, and {} MB are left to the others", file->path, file->bytes >> 20U, *room >> 20U, kLeftFree >> 20U));
    return DeviceAnswer{200, encode(FileTaken{have, {}})};
  }
  if (file->bytes == 0) {
    if (auto made = parts.write(name, 0, ""); !made) return pass(made);
  }
  constexpr unsigned kMode = 0664;
  auto stored = parts.put(name, view.root, {view.before + file->path, file->bytes, file->hash, file->modified_ms, kMode}, files::Parts::Taken::kBeside);
  if (!stored) return pass(stored, phrase("subscription {}", view.rule.name));
  auto path = stored->substr(view.before.size());
  auto noted = mid_tier.query("INSERT INTO sync.file_taken (device, subscription, path, hash, stored, bytes) VALUES ($1::bigint, $2, $3, $4, $5, $6::bigint) ON CONFLICT DO NOTHING",
                              {which[0], which[1], which[2], which[3], path, std::to_string(file->bytes)});
  if (!noted) return pass(noted, "sync.file_taken");
  surroundings_.log.info("sync.file_taken", {{"device", device.id}, {"folder", view.rule.files.folder}, {"path", *stored}});
  return DeviceAnswer{200, encode(FileTaken{0, std::move(path)})};
}

Result<DeviceAnswer> FolderService::take(const View& view, const std::string& hash, std::uint64_t offset, const std::string& bytes, const DeviceIdentity& device) {
  const auto most = view.rule.max_bytes == 0 ? kLargest : view.rule.max_bytes;
  if (view.rule.direction != Direction::kUp) return fail(ErrorCode::kForbidden, phrase("subscription {}: files come from the office, not from devices", view.rule.name));
  if (bytes.size() > kFilePieceBytes || offset > most || bytes.size() > most - offset) return fail(ErrorCode::kTooLarge, phrase("subscription {}: a file of a device has at most {} bytes", view.rule.name, most));
  auto room = os::free_bytes(view.root);
  if (!room) return pass(room);
  if (*room < kLeftFree) return fail(ErrorCode::kDiskFull, phrase("take a file of a device: {} MB are free, and {} MB are left to the others", *room >> 20U, kLeftFree >> 20U));
  if (auto written = files::Parts(view.incoming()).write(part_name(device, hash), offset, bytes); !written) return pass(written);
  return DeviceAnswer{200, "{}"};
}

Result<std::uint64_t> FolderService::tidy(Connection& mid_tier, std::chrono::days days) {
  for (const auto& [name, root] : index_.folders()) {
    if (auto gone = files::Parts(root / files::kOwnFolder / kIncoming).forget_old(days, surroundings_.clock); !gone) return pass(gone, phrase("folder '{}'", name));
  }
  return forget_gone_files(mid_tier, days);
}

}  // namespace verbund::sync::server
