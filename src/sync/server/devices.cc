#include "sync/server/devices.h"

#include <algorithm>

#include "base/messages.h"
#include "base/utf8.h"
#include "platform/os/random.h"
#include "platform/os/short_hash.h"
#include "sync/model/code.h"

namespace verbund::sync::server {
namespace {

using postgres::Connection;

constexpr std::size_t kSecretBytes = 32;
constexpr std::size_t kMaxNameBytes = 100;
constexpr std::size_t kMaxAddressBytes = 64;

Status check_name(const std::string& name) {
  const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  const bool blank = !name.empty() && (name.front() == ' ' || name.back() == ' ');
  if (name.size() <= kMaxNameBytes && !blank && is_utf8(name) && std::ranges::none_of(name, control)) return {};
  return fail(ErrorCode::kUsage, phrase("a device's name has at most {} bytes, no control characters and no blanks at its ends", kMaxNameBytes));
}

std::string raw(std::string_view hex) {
  const auto digit = [](char c) { return static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10); };
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) bytes += static_cast<char>(digit(hex[i]) << 4U | digit(hex[i + 1]));
  return bytes;
}

/// Of a user, by the rules. Errors: `missing` (the code for one who is not there), kForbidden.
Status check_user(Connection& mid_tier, const std::string& user, ErrorCode missing) {
  auto rows = mid_tier.query("SELECT disabled FROM sync.member WHERE user_name = $1", {user});
  if (!rows) return pass(rows);
  if (rows->size() == 0) return fail(missing, phrase("the rules of device sync know no user '{}'", user));
  if (rows->text(0, 0) == "t") return fail(ErrorCode::kForbidden, phrase("user '{}' is disabled for device sync", user));
  return {};
}

DeviceState state_of(std::string_view word) {
  if (word == "active") return DeviceState::kActive;
  return word == "disabled" ? DeviceState::kDisabled : DeviceState::kRevoked;
}

WallTime time_of(std::string_view micros) { return WallTime{microseconds{static_cast<std::int64_t>(parse_u64(micros).value_or(0))}}; }

/// "Device ID:SECRET" → both.
std::optional<std::pair<std::uint64_t, std::string>> parts_of(std::string_view authorization) {
  constexpr std::string_view kScheme = "Device ";
  if (!authorization.starts_with(kScheme)) return std::nullopt;
  authorization.remove_prefix(kScheme.size());
  const auto colon = authorization.find(':');
  if (colon == std::string_view::npos || authorization.size() - colon - 1 != 2 * kSecretBytes) return std::nullopt;
  const auto id = parse_u64(authorization.substr(0, colon));
  if (!id || *id > INT64_MAX) return std::nullopt;
  return std::pair{*id, std::string(authorization.substr(colon + 1))};
}

std::unexpected<Error> nobody() {
  return fail(ErrorCode::kUnauthenticated, phrase("a device's call: no device has this secret"), phrase("Enrol the device again: `verbund sync device invite`."));
}

Status note_call(Connection& mid_tier, std::uint64_t device, const std::string& address, WallTime now) {
  auto noted = mid_tier.query("UPDATE sync.device SET last_sync = $2::timestamptz, last_address = $3 WHERE id = $1::bigint", {std::to_string(device), to_iso8601(now), address});
  return noted ? Status{} : pass(noted);
}

}  // namespace

std::string_view to_wire(DeviceState state) {
  switch (state) {
    case DeviceState::kActive: return "active";
    case DeviceState::kDisabled: return "disabled";
    case DeviceState::kRevoked: return "revoked";
  }
  return "revoked";
}

Result<DeviceInvitation> invite(Connection& mid_tier, const NewInvitation& wanted, WallTime now) {
  constexpr std::string_view kWhat = msgid("invite a device");
  if (wanted.valid < std::chrono::minutes{1} || wanted.valid > kMaxInvitation) {
    return fail(ErrorCode::kUsage, phrase("invite a device: an invitation is good for 1 to {} minutes", kMaxInvitation.count()));
  }
  if (auto valid = check_name(wanted.device_name); !valid) return pass(valid, kWhat);
  if (auto known = check_user(mid_tier, wanted.user, ErrorCode::kNotFound); !known) return pass(known, kWhat);
  EnrolCode code{raw(os::random_hex(kEnrolSecretBytes)), wanted.fingerprint.substr(0, kEnrolFingerprintBytes)};
  code.fingerprint.resize(kEnrolFingerprintBytes);
  const auto until = now + wanted.valid;
  auto gone = mid_tier.query("DELETE FROM sync.enrolment WHERE until < $1::timestamptz - interval '30 days'", {to_iso8601(now)});
  if (!gone) return pass(gone, kWhat);
  auto made = mid_tier.query("INSERT INTO sync.enrolment (code_hash, user_name, device_name, made, until) VALUES ($1, $2, $3, $4::timestamptz, $5::timestamptz)",
                             {os::blake2b_hex(code.secret), wanted.user, wanted.device_name, to_iso8601(now), to_iso8601(until)});
  if (!made) return pass(made, kWhat);
  return DeviceInvitation{to_text(code), until};
}

Result<EnrolReply> enrol(Connection& mid_tier, const EnrolRequest& request, WallTime now) {
  constexpr std::string_view kWhat = msgid("enrol a device");
  auto code = parse_enrol_code(request.code);
  if (!code) return pass(code, kWhat);
  if (auto valid = check_name(request.name); !valid) return pass(valid, kWhat);
  auto transaction = mid_tier.begin();
  if (!transaction) return pass(transaction, kWhat);
  const auto hash = os::blake2b_hex(code->secret);
  auto used = mid_tier.query(
      "UPDATE sync.enrolment SET used = $2::timestamptz WHERE code_hash = $1 AND used IS NULL AND until > $2::timestamptz RETURNING user_name, device_name", {hash, to_iso8601(now)});
  if (!used) return pass(used, kWhat);
  if (used->size() == 0) {
    return fail(ErrorCode::kUnauthenticated, phrase("enrol a device: the code is not good, or no more"), phrase("Ask for another one: `verbund sync device invite`."));
  }
  const std::string user(used->text(0, 0));
  if (auto known = check_user(mid_tier, user, ErrorCode::kForbidden); !known) return pass(known, kWhat);
  const std::string name(used->text(0, 1).empty() ? std::string_view(request.name) : used->text(0, 1));
  auto secret = os::random_hex(kSecretBytes);
  auto made = mid_tier.query("INSERT INTO sync.device (name, user_name, secret_hash, enrolled) VALUES ($1, $2, $3, $4::timestamptz) RETURNING id",
                             {name, user, os::blake2b_hex(secret), to_iso8601(now)});
  if (!made) return pass(made, kWhat);
  std::string id(made->text(0, 0));
  auto linked = mid_tier.query("UPDATE sync.enrolment SET device = $2::bigint WHERE code_hash = $1", {hash, id});
  if (!linked) return pass(linked, kWhat);
  if (auto committed = transaction->commit(); !committed) return pass(committed, kWhat);
  return EnrolReply{std::move(id), std::move(secret), user};
}

Result<DeviceIdentity> authenticate(Connection& mid_tier, std::string_view authorization, const std::string& address, WallTime now) {
  const auto given = parts_of(authorization);
  if (!given) return nobody();
  const auto from = address.substr(0, kMaxAddressBytes);
  auto rows = mid_tier.query(
      "SELECT d.name, d.user_name, d.secret_hash, d.state, d.generation, m.disabled,"
      " d.last_sync IS NULL OR abs(extract(epoch FROM $2::timestamptz - d.last_sync)) > 10 OR d.last_address IS DISTINCT FROM $3, coalesce(d.split_from, 0)"
      " FROM sync.device d LEFT JOIN sync.member m USING (user_name) WHERE d.id = $1::bigint",
      {std::to_string(given->first), to_iso8601(now), from});
  if (!rows) return pass(rows, "a device's call");
  if (rows->size() == 0) return nobody();
  const auto state = state_of(rows->text(0, 3));
  const std::string name(rows->text(0, 0)), user(rows->text(0, 1));
  // Its secret's hash is gone: whoever calls by this number is told no more than that.
  if (state == DeviceState::kRevoked) return fail(ErrorCode::kRevoked, phrase("a device's call: the device is revoked"), phrase("Enrol the device again: `verbund sync device invite`."));
  if (!os::equal_secrets(os::blake2b_hex(given->second), rows->text(0, 2))) return nobody();
  if (state == DeviceState::kDisabled) return fail(ErrorCode::kForbidden, phrase("a device's call: device '{}' is disabled", name));
  if (rows->null(0, 5)) return fail(ErrorCode::kForbidden, phrase("a device's call: the rules of device sync know no user '{}'", user));
  if (rows->text(0, 5) == "t") return fail(ErrorCode::kForbidden, phrase("a device's call: user '{}' is disabled for device sync", user));
  if (rows->text(0, 6) == "t") {
    if (auto noted = note_call(mid_tier, given->first, from, now); !noted) return pass(noted, "a device's call");
  }
  return DeviceIdentity{given->first, name, user, parse_u64(rows->text(0, 4)).value_or(0), parse_u64(rows->text(0, 7)).value_or(0)};
}

Result<std::optional<DeviceIdentity>> active_device(Connection& mid_tier, std::uint64_t id) {
  auto rows = mid_tier.query("SELECT d.name, d.user_name, d.generation, coalesce(d.split_from, 0) FROM sync.device d JOIN sync.member m USING (user_name) WHERE d.id = $1::bigint AND d.state = 'active' AND NOT m.disabled",
                             {std::to_string(id)});
  if (!rows) return pass(rows, phrase("device {}", id));
  if (rows->size() == 0) return std::nullopt;
  return DeviceIdentity{id, std::string(rows->text(0, 0)), std::string(rows->text(0, 1)), parse_u64(rows->text(0, 2)).value_or(0), parse_u64(rows->text(0, 3)).value_or(0)};
}

Result<os::BoxKeys> lease_keys(Connection& mid_tier, std::uint64_t device) {
  const auto id = std::to_string(device);
  const auto fresh = os::make_box_keys();
  const postgres::Statement statements[] = {
      {"UPDATE sync.device SET lease_key = $2, lease_secret = $3 WHERE id = $1::bigint AND lease_key IS NULL", {id, os::to_base64(fresh.open), os::to_base64(fresh.secret)}},
      {"SELECT lease_key, lease_secret FROM sync.device WHERE id = $1::bigint", {id}}};
  auto rows = mid_tier.run(statements);
  if (!rows) return pass(rows, phrase("device {}", device));
  const auto& found = (*rows)[1];
  if (found.size() == 0) return fail(ErrorCode::kNotFound, phrase("there is no device {}", device));
  auto open = os::from_base64(found.text(0, 0)), secret = os::from_base64(found.text(0, 1));
  if (!open || !secret) return fail(ErrorCode::kDamaged, phrase("device {}: its keys can't be read", device));
  return os::BoxKeys{std::move(*open), std::move(*secret)};
}

Result<EnrolReply> split(Connection& mid_tier, const DeviceIdentity& device, const std::string& call, WallTime now) {
  constexpr int kMostInADay = 10;
  const auto id = std::to_string(device.id);
  auto some = mid_tier.query("SELECT count(*) >= $2::integer FROM sync.device WHERE split_from = $1::bigint AND enrolled > $3::timestamptz - interval '1 day'", {id, std::to_string(kMostInADay), to_iso8601(now)});
  if (!some) return pass(some, "a device's call");
  if (some->text(0, 0) == "t") {
    return fail(ErrorCode::kRateLimited, phrase("a device's call: the database of '{}' was copied {} times within a day", device.name, kMostInADay), phrase("Enrol the device again: `verbund sync device invite`."));
  }
  auto secret = os::random_hex(kSecretBytes);
  auto made = mid_tier.query(
      "INSERT INTO sync.device AS d (name, user_name, secret_hash, generation, enrolled, split_from, split_hash)"
      " SELECT name, user_name, $2, generation, $4::timestamptz, id, $3 FROM sync.device WHERE id = $1::bigint AND state = 'active'"
      " ON CONFLICT (split_from, split_hash) DO UPDATE SET secret_hash = excluded.secret_hash WHERE d.last_sync IS NULL AND d.state = 'active' RETURNING d.id",
      {id, os::blake2b_hex(secret), call, to_iso8601(now)});
  if (!made) return pass(made, "a device's call");
  if (made->size() == 0) return fail(ErrorCode::kForbidden, phrase("a device's call: the copy of '{}' is a device of its own already", device.name), phrase("Enrol the device again: `verbund sync device invite`."));
  return EnrolReply{std::string(made->text(0, 0)), std::move(secret), device.user};
}

Result<std::vector<Device>> list_devices(Connection& mid_tier) {
  auto rows = mid_tier.query(
      "SELECT id, name, user_name, state, generation, (extract(epoch FROM enrolled) * 1000000)::bigint, (extract(epoch FROM last_sync) * 1000000)::bigint,"
      " coalesce(last_address, '') FROM sync.device ORDER BY id");
  if (!rows) return pass(rows, "list the devices");
  std::vector<Device> devices;
  for (int row = 0; row < rows->size(); ++row) {
    Device one{parse_u64(rows->text(row, 0)).value_or(0), std::string(rows->text(row, 1)), std::string(rows->text(row, 2)), state_of(rows->text(row, 3)),
               parse_u64(rows->text(row, 4)).value_or(0), time_of(rows->text(row, 5)), std::nullopt, std::string(rows->text(row, 7))};
    if (!rows->null(row, 6)) one.last_sync = time_of(rows->text(row, 6));
    devices.push_back(std::move(one));
  }
  return devices;
}

Status set_state(Connection& mid_tier, std::uint64_t device, DeviceState state) {
  auto set = mid_tier.query(
      "UPDATE sync.device SET state = $2, secret_hash = CASE WHEN $2 = 'revoked' THEN '' ELSE secret_hash END WHERE id = $1::bigint AND (state <> 'revoked' OR $2 = 'revoked')",
      {std::to_string(device), std::string(to_wire(state))});
  if (!set) return pass(set, phrase("device {}", device));
  if (set->affected() == 1) return {};
  auto known = mid_tier.query("SELECT 1 FROM sync.device WHERE id = $1::bigint", {std::to_string(device)});
  if (!known) return pass(known, phrase("device {}", device));
  if (known->size() == 0) return fail(ErrorCode::kNotFound, phrase("there is no device {}", device));
  return fail(ErrorCode::kForbidden, phrase("device {} is revoked for good", device), phrase("Enrol the device again: `verbund sync device invite`."));
}

Result<std::uint64_t> reset(Connection& mid_tier, const Whose& whose) {
  std::string_view condition, known;
  switch (whose.by) {
    case Whose::By::kDevice: condition = known = "SELECT id FROM sync.device WHERE id::text = $1"; break;
    case Whose::By::kUser:
      condition = "SELECT id FROM sync.device WHERE user_name = $1";
      known = "SELECT 1 FROM sync.member WHERE user_name = $1 UNION ALL SELECT 1 FROM sync.device WHERE user_name = $1";
      break;
    case Whose::By::kGroup:
      condition = "SELECT d.id FROM sync.device d JOIN sync.member m USING (user_name) WHERE m.group_name = $1";
      known = "SELECT 1 FROM sync.user_group WHERE name = $1";
      break;
    case Whose::By::kAll: condition = known = "SELECT id FROM sync.device WHERE $1::text IS NOT NULL"; break;
  }
  auto there = mid_tier.query(fmt::format("SELECT EXISTS ({})", known), {whose.name});
  if (!there) return pass(there, "reset devices");
  if (whose.by != Whose::By::kAll && there->text(0, 0) != "t") return fail(ErrorCode::kNotFound, phrase("reset devices: there is nobody and nothing called '{}'", whose.name));
  auto done = mid_tier.query(fmt::format("UPDATE sync.device SET generation = generation + 1 WHERE state <> 'revoked' AND id IN ({})", condition), {whose.name});
  if (!done) return pass(done, "reset devices");
  return done->affected();
}

}  // namespace verbund::sync::server
