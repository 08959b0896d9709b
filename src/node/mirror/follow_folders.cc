#include "node/mirror/follow_folders.h"

#include <algorithm>

#include "base/messages.h"
#include "node/mirror/report.h"

namespace verbund::node {
namespace {

namespace json = boost::json;

constexpr std::size_t kPageEntries = 2'000;
constexpr std::size_t kPieceBytes = 1024UL * 1024;

Result<std::int64_t> signed_of(const json::object& object, std::string_view name) {
  const auto* member = object.if_contains(name);
  if (!member || !member->is_int64()) return fail(ErrorCode::kBadMessage, phrase("read the pair's message: field {} is missing or wrong", name));
  return member->as_int64();
}

}  // namespace

json::object to_json(const files::Entry& entry) {
  return {{"path", entry.path}, {"directory", entry.directory}, {"bytes", std::to_string(entry.bytes)},
          {"modified_ns", entry.modified_ns}, {"changed_ns", entry.changed_ns}, {"mode", std::to_string(entry.mode)}};
}

Result<files::Entry> entry_from(const json::object& object) {
  auto path = text_of(object, "path");
  if (!path) return pass(path);
  if (auto good = files::check_path(*path); !good) return pass(good);
  const auto bytes = number_of(object, "bytes"), mode = number_of(object, "mode");
  const auto modified = signed_of(object, "modified_ns"), changed = signed_of(object, "changed_ns");
  if (!bytes) return std::unexpected(bytes.error());
  if (!mode) return std::unexpected(mode.error());
  if (!modified) return std::unexpected(modified.error());
  if (!changed) return std::unexpected(changed.error());
  const auto* directory = object.if_contains("directory");
  return files::Entry{*path, directory && directory->is_bool() && directory->as_bool(), *bytes, *modified, *changed, static_cast<unsigned>(*mode & 0777U)};
}

std::string folder_id(std::size_t index, const std::string& path) {
  std::string name = std::filesystem::path(path).lexically_normal().filename().string();
  if (name.empty()) name = std::filesystem::path(path).lexically_normal().parent_path().filename().string();
  std::erase_if(name, [](unsigned char c) { return c >= 0x80 || (!std::isalnum(c) && c != '_' && c != '-'); });
  return fmt::format("{}-{}", index, name);
}

FolderSource::FolderSource(const std::vector<std::string>& folders, const std::map<std::string, std::filesystem::path>& synced) {
  for (const auto& path : folders) folders_.push_back({folder_id(folders_.size(), path), path, {}});
  for (const auto& [name, path] : synced) folders_.push_back({folder_id(folders_.size(), path.native()), path.native(), name});
}

Result<std::string> FolderSource::answer(const json::object& asked) {
  if (asked.empty()) return list();
  const auto id = text_of(asked, "folder");
  if (!id) return std::unexpected(id.error());
  const auto* listed = asked.if_contains("entry");
  if (!listed) {
    const auto after = text_of(asked, "after");
    return after ? page(*id, *after) : std::unexpected(after.error());
  }
  if (!listed->is_object()) return fail(ErrorCode::kBadMessage, phrase("read the pair's message: field {} is missing or wrong", "entry"));
  const auto entry = entry_from(listed->as_object());
  if (!entry) return std::unexpected(entry.error());
  const auto offset = number_of(asked, "offset");
  return offset ? piece(*id, *entry, *offset) : std::unexpected(offset.error());
}

std::string FolderSource::list() const {
  json::array folders;
  for (const auto& folder : folders_) {
    json::object one{{"id", folder.id}, {"path", folder.path}};
    if (!folder.sync.empty()) one["sync"] = folder.sync, one["mark"] = files::mark_of(folder.path);
    folders.push_back(std::move(one));
  }
  return json::serialize(json::object{{"folders", folders}});
}

Result<std::string> FolderSource::path_of(const std::string& id) const {
  const auto found = std::ranges::find(folders_, id, &Folder::id);
  if (found != folders_.end()) return found->path;
  return fail(ErrorCode::kNotFound, phrase("send a folder: {} is none of [mirror] folders and [sync.folders]", id));
}

Result<std::string> FolderSource::page(const std::string& id, const std::string& after) {
  auto path = path_of(id);
  if (!path) return pass(path);
  std::shared_ptr<const files::Listing> listing;
  if (!after.empty()) {
    const std::lock_guard guard(mutex_);
    listing = listed_[id];
  }
  if (!listing) {
    auto read = files::list_tree(*path, stop_.get_token());
    if (!read) return pass(read);
    listing = std::make_shared<const files::Listing>(std::move(*read));
    const std::lock_guard guard(mutex_);
    listed_[id] = listing;
  }
  auto at = std::ranges::upper_bound(listing->entries, after, {}, &files::Entry::path);
  if (after.empty()) at = listing->entries.begin();
  json::array entries, skipped;
  for (; at != listing->entries.end() && entries.size() < kPageEntries; ++at) entries.push_back(to_json(*at));
  for (const auto& one : listing->skipped) skipped.push_back(json::value(one));
  return json::serialize(json::object{{"entries", entries}, {"skipped", skipped}, {"skipped_total", std::to_string(listing->skipped_total)}, {"done", at == listing->entries.end()}});
}

Result<std::string> FolderSource::piece(const std::string& id, const files::Entry& entry, std::uint64_t offset) const {
  auto path = path_of(id);
  if (!path) return pass(path);
  return files::read_piece(*path, entry, offset, kPieceBytes);
}

}  // namespace verbund::node
