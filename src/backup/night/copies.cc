#include "backup/night/copies.h"

#include <boost/json.hpp>

#include "backup/media/ledger.h"
#include "base/messages.h"
#include "platform/os/clock.h"
#include "platform/os/file.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

fs::path file_of(const Office& office, const std::string& site) { return office.directory / "backup" / "offsite" / (site + ".open"); }

std::string text_of(const json::object& object, const char* name) {
  const auto* member = object.if_contains(name);
  return member && member->is_string() ? std::string(member->as_string()) : std::string();
}

Status write(const Office& office, const OpenCopy& open) {
  const auto file = file_of(office, open.site);
  if (auto made = os::make_directories(file.parent_path(), 0700); !made) return made;
  const json::object object{{"set", open.set}, {"path", open.path.string()}, {"since", to_iso8601(open.since)}, {"error", open.error}};
  return os::write_file_atomically(file, json::serialize(object) + "\n", 0600);
}

Result<std::optional<OpenCopy>> read(const Office& office, const std::string& site) {
  auto text = os::read_file(file_of(office, site), 64 * 1024);
  if (!text && text.error().code == ErrorCode::kNotFound) return std::nullopt;
  if (!text) return pass(text);
  boost::system::error_code bad;
  const auto value = json::parse(*text, bad);
  if (bad || !value.is_object()) return std::nullopt;
  const auto since = from_iso8601(text_of(value.as_object(), "since"));
  OpenCopy open{site, text_of(value.as_object(), "set"), text_of(value.as_object(), "path"), since.value_or(WallTime{}), text_of(value.as_object(), "error")};
  if (open.path.empty()) return std::nullopt;
  return std::optional(std::move(open));
}

/// What was read back whole counts for rotation and alarms; a set that lacks something is outside the house, and no proven backup.
Status enter_verified(const Office& office, const OpenCopy& open, const std::vector<PublicKey>& trusted, bool complete, const Clock& clock) {
  if (!complete) return {};
  auto key = signing_key(office.directory);
  if (!key) return pass(key);
  auto ledger = Ledger::open(office.directory, trusted);
  if (!ledger) return pass(ledger);
  return ledger->enter(fact::OffSiteVerified{open.set, open.site}, os::local_time(clock.wall()), *key);
}

Result<CopyReport> send(const OffSiteTask& task, const OpenCopy& open) {
  auto trusted = trusted_keys(task.office.directory);
  if (!trusted) return pass(trusted);
  auto set = SetReader::open(open.path, *trusted);
  if (!set) return pass(set);
  auto done = copy_off_site(task, open.path);
  if (!done) return pass(done);
  if (!done->check.findings.empty()) {
    const auto& first = done->check.findings.front();
    return fail(ErrorCode::kDamaged, phrase("{}/{} is not what was sent", done->place, first.file), phrase("verbund backup offsite copy"));
  }
  if (auto entered = enter_verified(task.office, open, *trusted, set->manifest().complete, task.clock); !entered) return pass(entered);
  return done;
}

CopyOut copy_one(const Office& office, const OffSite& site, OpenCopy open, Progress& progress, const Clock& clock,
                 const std::function<void(const Phrase&)>& on_step) {
  CopyOut out{site.name, open.set, std::nullopt, std::nullopt};
  auto remote = Remote::open(site, office.directory);
  auto done = remote ? send({office, *remote, progress, clock, on_step}, open) : Result<CopyReport>(std::unexpected(remote.error()));
  if (done) {
    std::error_code ignored;  // it is looked at once more then, and found there
    fs::remove(file_of(office, site.name), ignored);
    out.report = std::move(*done);
    return out;
  }
  out.error = done.error();
  if (done.error().code == ErrorCode::kInUse) return out;
  open.error = done.error().message;
  if (auto written = write(office, open); !written) out.error = written.error();
  return out;
}

}  // namespace

Result<std::vector<OpenCopy>> open_copies(const Office& office) {
  std::vector<OpenCopy> all;
  for (const auto& site : office.config.off_sites) {
    auto open = read(office, site.name);
    if (!open) return pass(open);
    if (*open) all.push_back(std::move(**open));
  }
  return all;
}

std::vector<CopyOut> copy_out(const Office& office, const fs::path& set, Progress& progress, const Clock& clock, const std::function<void(const Phrase&)>& on_step) {
  std::vector<CopyOut> all;
  for (const auto& site : office.config.off_sites) {
    auto open = read(office, site.name);
    const auto failed = [&](const Error& error) { all.push_back({site.name, set.filename().string(), std::nullopt, error}); };
    if (!open) {
      failed(open.error());
      continue;
    }
    if (!set.empty()) {
      // How long nothing has got out counts, not for how long this set has not.
      const auto since = *open ? (*open)->since : clock.wall();
      *open = OpenCopy{site.name, set.filename().string(), set, since, *open ? (*open)->error : std::string()};
      if (auto written = write(office, **open); !written) {
        failed(written.error());
        continue;
      }
    }
    if (*open) all.push_back(copy_one(office, site, std::move(**open), progress, clock, on_step));
  }
  return all;
}

}  // namespace verbund::backup
