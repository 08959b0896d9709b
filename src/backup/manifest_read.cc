// manifest.json → Manifest. Goes on after a complaint with a harmless value; the first one is kept and decides.
#include <set>

#include <boost/json/monotonic_resource.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "backup/digest.h"
#include "backup/manifest.h"
#include "backup/manifest_words.h"
#include "backup/names.h"
#include "base/ids.h"
#include "base/messages.h"
#include "base/utf8.h"

namespace verbund::backup {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxNesting = 8;

std::optional<std::uint64_t> decimal(const json::value& value) {
  const auto parsed = value.is_string() ? parse_u64(value.get_string()) : Result<std::uint64_t>(std::unexpect);
  return parsed ? std::optional(*parsed) : std::nullopt;
}

/// One object of the document.
class Fields {
 public:
  Fields(const json::object& object, std::string place, std::optional<Error>& first)
      : object_(object), place_(std::move(place)), first_(first) {}

  [[nodiscard]] bool has(std::string_view name) const { return object_.contains(name); }
  std::string text(std::string_view name, std::size_t max_bytes = kMaxTextBytes) {
    const json::value* value = object_.if_contains(name);
    return value != nullptr && value->is_string() ? bounded(*value, name, max_bytes) : complain(name, phrase("no text"));
  }
  std::uint64_t number(std::string_view name) {
    const json::value* value = object_.if_contains(name);
    const auto parsed = value == nullptr ? std::nullopt : decimal(*value);
    if (!parsed) complain(name, phrase("no number in quotes"));
    return parsed.value_or(0);
  }
  int small(std::string_view name) {
    const json::value* value = object_.if_contains(name);
    if (value == nullptr || !value->is_int64() || value->get_int64() < 0 || value->get_int64() > 100'000'000) {
      complain(name, phrase("no number of its range"));
      return 0;
    }
    return static_cast<int>(value->get_int64());
  }
  bool flag(std::string_view name) {
    const json::value* value = object_.if_contains(name);
    if (value != nullptr && value->is_bool()) return value->get_bool();
    complain(name, phrase("neither true nor false"));
    return false;
  }
  /// A hash in hex; `or_empty`: nothing is fine, too.
  std::string hash(std::string_view name, bool or_empty) {
    std::string value = text(name);
    if (!(or_empty && value.empty()) && !is_sha256_hex(value)) complain(name, phrase("no SHA-256 in hex"));
    return value;
  }
  std::string set_name(std::string_view name) {
    std::string value = text(name);
    if (auto good = check_name(value); !good) complain(name, verbatim(good.error().message));
    return value;
  }
  WallTime time(std::string_view name) {
    const auto parsed = from_iso8601(text(name));
    if (!parsed) complain(name, phrase("no time"));
    return parsed.value_or(WallTime{});
  }
  std::vector<std::string> texts(std::string_view name, std::size_t max) {
    std::vector<std::string> values;
    for (const json::value& value : list(name, max)) {
      if (value.is_string()) values.push_back(bounded(value, name, kMaxTextBytes));
      else complain(name, phrase("an entry that is no text"));
    }
    return values;
  }
  template <typename Read>
  void objects(std::string_view name, std::size_t max, Read read) {
    std::size_t index = 0;
    for (const json::value& value : list(name, max)) {
      const std::string place = fmt::format("{}{}[{}]", place_, name, index++);
      if (value.is_object()) read(Fields(value.get_object(), place + ".", first_));
      else complain(name, phrase("an entry that is no object"));
    }
  }
  const json::array& list(std::string_view name, std::size_t max) {
    static const json::array kNone;
    const json::value* value = object_.if_contains(name);
    if (value == nullptr || !value->is_array()) {
      complain(name, phrase("no list"));
      return kNone;
    }
    if (value->get_array().size() > max) {
      complain(name, phrase("more than {} entries", max));
      return kNone;
    }
    return value->get_array();
  }
  std::string complain(std::string_view name, Phrase what) {
    if (!first_) first_ = make_error(ErrorCode::kDamaged, phrase("manifest: {}{}: {}", place_, name, std::move(what)));
    return {};
  }

 private:
  std::string bounded(const json::value& value, std::string_view name, std::size_t max_bytes) {
    const json::string& text = value.get_string();
    if (text.size() > max_bytes) return complain(name, phrase("longer than {} bytes", max_bytes));
    return {text.data(), text.size()};
  }

  const json::object& object_;
  std::string place_;
  std::optional<Error>& first_;
};

Member read_member(Fields fields) {
  Member member;
  member.name = fields.set_name("name");
  const auto content = content_of(fields.text("content"));
  if (!content) fields.complain("content", phrase("a word that is not known"));
  member.content = content.value_or(Content::kText);
  member.plain_bytes = fields.number("plain_bytes");
  member.plain_sha256 = fields.hash("plain_sha256", false);
  member.stored_bytes = fields.number("stored_bytes");
  member.sealed = fields.flag("sealed");
  member.parts = fields.texts("parts", kMaxPartsPerMember);
  if (member.parts.empty()) fields.complain("parts", phrase("no file"));
  for (const std::string& part : member.parts) {
    if (auto good = check_name(part); !good) fields.complain("parts", verbatim(good.error().message));
  }
  return member;
}

TableHash read_table(const json::value& value, Fields& fields) {
  TableHash table;
  const json::array* row = value.if_array();
  const auto is_text = [](const json::value& each) { return each.is_string(); };
  const json::array* columns = row != nullptr && row->size() == 5 ? row->at(4).if_array() : nullptr;
  const bool whole = columns != nullptr && std::ranges::all_of(std::span(row->data(), 4), is_text) && std::ranges::all_of(*columns, is_text);
  const auto rows = whole ? decimal(row->at(2)) : std::nullopt;
  if (!rows) {
    fields.complain("tables", phrase("an entry that is not [schema, table, rows, hash, columns]"));
    return table;
  }
  table.schema = row->at(0).get_string();
  table.table = row->at(1).get_string();
  table.rows = *rows;
  table.hash = row->at(3).get_string();
  for (const json::value& column : *columns) table.columns.emplace_back(column.get_string());
  return table;
}

DatabaseEntry read_database(Fields fields) {
  DatabaseEntry database;
  database.name = fields.text("name");
  database.owner = fields.text("owner");
  database.encoding = fields.text("encoding");
  database.locale = fields.text("locale");
  database.member = fields.set_name("member");
  database.server_version = fields.small("server_version");
  database.snapshot_lsn = fields.text("snapshot_lsn");
  for (const json::value& value : fields.list("tables", kMaxListed)) database.tables.push_back(read_table(value, fields));
  return database;
}

FolderEntry read_folder(Fields fields) {
  FolderEntry folder;
  folder.application = fields.text("application");
  folder.version = fields.text("version");
  folder.root = fields.text("root");
  folder.member = fields.set_name("member");
  folder.files = fields.number("files");
  folder.bytes = fields.number("bytes");
  folder.restore = fields.texts("restore", kMaxListed);
  folder.restore_optional = fields.texts("restore_optional", kMaxListed);
  folder.ignore_case = fields.flag("ignore_case");
  folder.missing = fields.texts("missing", kMaxListed);
  folder.changed = fields.texts("changed", kMaxListed);
  folder.unreadable = fields.texts("unreadable", kMaxListed);
  return folder;
}

Manifest read_root(Fields fields) {
  Manifest manifest;
  manifest.id = fields.set_name("id");
  manifest.sequence = fields.number("sequence");
  manifest.previous_hash = fields.hash("previous_hash", true);
  if (fields.has("copy_of")) manifest.copy_of = fields.hash("copy_of", true);  // earlier versions did not write it
  manifest.installation = fields.text("installation");
  manifest.host = fields.text("host");
  manifest.program_version = fields.text("program_version");
  manifest.role = fields.text("role");
  manifest.begun = fields.time("begun");
  manifest.ended = fields.time("ended");
  manifest.barrier = fields.text("barrier");
  manifest.complete = fields.flag("complete");
  manifest.reasons = fields.texts("reasons", kMaxListed);
  manifest.recipients = fields.texts("recipients", 100);
  manifest.details = fields.text("details");
  fields.objects("members", kMaxMembers, [&](Fields each) { manifest.members.push_back(read_member(std::move(each))); });
  fields.objects("databases", kMaxMembers, [&](Fields each) { manifest.databases.push_back(read_database(std::move(each))); });
  fields.objects("folders", kMaxMembers, [&](Fields each) { manifest.folders.push_back(read_folder(std::move(each))); });
  return manifest;
}

/// No name twice, not even where case does not count, and no entry about a member that isn't there.
Status check_members(const Manifest& manifest) {
  std::set<std::string> members;
  std::set<std::string> files;
  for (const Member& member : manifest.members) {
    if (!members.insert(member.name).second) return fail(ErrorCode::kDamaged, phrase("manifest: {} stands in it twice", member.name));
    for (const std::string& part : member.parts) {
      if (!files.insert(folded(part)).second) return fail(ErrorCode::kDamaged, phrase("manifest: {} stands in it twice", part));
    }
  }
  std::vector<std::string> named;
  for (const DatabaseEntry& database : manifest.databases) named.push_back(database.member);
  for (const FolderEntry& folder : manifest.folders) named.push_back(folder.member);
  if (!manifest.details.empty()) named.push_back(manifest.details);
  for (const std::string& name : named) {
    if (!members.contains(name)) return fail(ErrorCode::kDamaged, phrase("manifest: there is no member {}", printable(name)));
  }
  return {};
}

}  // namespace

Result<Manifest> read_manifest(std::string_view text) {
  if (text.size() > kMaxManifestBytes) {
    return fail(ErrorCode::kDamaged, phrase("manifest: {} bytes, {} are allowed", text.size(), kMaxManifestBytes));
  }
  json::monotonic_resource memory;
  json::parse_options options;
  options.max_depth = kMaxNesting;
  boost::system::error_code error;
  const json::value document = is_utf8(text) ? json::parse(text, error, &memory, options) : json::value();
  if (error || !document.is_object()) return fail(ErrorCode::kDamaged, phrase("manifest: no JSON object"));
  std::optional<Error> first;
  Fields root(document.get_object(), "", first);
  const int format = root.small("format");
  if (!first && format > kFormat) {
    return fail(ErrorCode::kUnsupported, phrase("manifest: format {}, this version of Verbund knows {}", format, kFormat),
                phrase("Use a newer Verbund, or follow RESTORE.txt in the backup set."));
  }
  if (!first && format < 1) root.complain("format", phrase("no number of its range"));
  Manifest manifest = read_root(root);
  if (first) return std::unexpected(std::move(*first));
  if (auto good = check_members(manifest); !good) return pass(good);
  return manifest;
}

}  // namespace verbund::backup
