#include "node/mirror/production_side.h"

#include "base/messages.h"
#include "node/command_server.h"
#include "node/mirror/report.h"
#include "node/version.h"
#include "platform/os/file.h"
#include "platform/os/random.h"
#include "platform/postgres/log_segments.h"

namespace verbund::node {
namespace {

namespace json = boost::json;
using postgres::Connection;

constexpr seconds kPatience{3};
constexpr const char* kFiles[] = {"verbund.toml", "P2P.properties", "backup.toml"};
constexpr const char* kSecrets[] = {Installation::kSuperuser, Installation::kNodeRole, Installation::kApplicationRole};

std::unexpected<Error> bad_file(const std::filesystem::path& path) {
  return fail(ErrorCode::kDamaged, phrase("read {}: it is not as it was written", path.string()), phrase("Remove it and invite the mirror anew."));
}

Result<std::optional<json::object>> read_object(const std::filesystem::path& path) {
  auto text = os::read_file(path, 64 * 1024);
  if (!text && text.error().code == ErrorCode::kNotFound) return std::optional<json::object>();
  if (!text) return pass(text);
  auto object = object_of(*text);
  if (!object) return bad_file(path);
  return std::optional(std::move(*object));
}

}  // namespace

ProductionSide::ProductionSide(const Installation& installation, const access::Certificates& certificates, access::Accounts& accounts, PairSeat& seat, Term term,
                               std::function<std::uint16_t()> port, const Clock& clock, Log& log)
    : installation_(installation), certificates_(certificates), accounts_(accounts), seat_(seat), term_(term), port_(std::move(port)), clock_(clock), log_(log), since_(clock.now()) {}

Result<std::optional<ProductionSide::Invitation>> ProductionSide::read_invitation() const {
  const auto path = folder() / "invitation.json";
  auto object = read_object(path);
  if (!object) return pass(object);
  if (!*object) return std::optional<Invitation>();
  const auto hash = text_of(**object, "code_hash");
  const auto user = text_of(**object, "by");
  const auto until = text_of(**object, "until");
  const auto used = text_of(**object, "used");
  const auto replace = text_of(**object, "replace");
  if (!hash || !user || !until || !used || !replace || !from_iso8601(*until)) return bad_file(path);
  return std::optional(Invitation{*hash, *user, *from_iso8601(*until), from_iso8601(*used), *replace == "yes"});
}

Status ProductionSide::write(const Invitation& invitation) const {
  const json::object object{{"code_hash", invitation.code_hash}, {"by", invitation.user}, {"until", to_iso8601(invitation.until)},
                            {"used", invitation.used ? to_iso8601(*invitation.used) : ""}, {"replace", invitation.replace ? "yes" : "no"}};
  if (auto made = os::make_directories(folder(), 0700); !made) return made;
  return os::write_file_atomically(folder() / "invitation.json", json::serialize(object) + "\n", 0600);
}

Result<std::optional<ProductionSide::Mirror>> ProductionSide::read_mirror() const {
  const auto path = folder() / "mirror.json";
  auto object = read_object(path);
  if (!object) return pass(object);
  if (!*object) return std::optional<Mirror>();
  const auto name = text_of(**object, "name");
  const auto address = text_of(**object, "address");
  const auto hash = text_of(**object, "secret_hash");
  const auto since = text_of(**object, "since");
  const auto member = number_of(**object, "member");
  if (!name || !address || !hash || !since || !from_iso8601(*since) || !member) return bad_file(path);
  return std::optional(Mirror{*name, *address, *hash, *from_iso8601(*since), *member});
}

Status ProductionSide::write(const Mirror& mirror) const {
  const json::object object{{"name", mirror.name}, {"address", mirror.address}, {"secret_hash", mirror.secret_hash}, {"since", to_iso8601(mirror.since)},
                            {"member", std::to_string(mirror.member)}};
  if (auto made = os::make_directories(folder(), 0700); !made) return made;
  return os::write_file_atomically(folder() / "mirror.json", json::serialize(object) + "\n", 0600);
}

Result<std::string> ProductionSide::invite(const std::string& user, std::chrono::minutes valid, bool replace) {
  const std::lock_guard one(joining_);
  if (!installation_.owns_server()) {
    return fail(ErrorCode::kUnsupported, phrase("invite a mirror: this node's PostgreSQL is somebody else's server"),
                phrase("Its own replication has to look after it; verbund mirrors only the server that it runs itself."));
  }
  if (installation_.settings().mirror_listen.empty()) {
    return fail(ErrorCode::kServerSetting, phrase("invite a mirror: this machine's PostgreSQL listens for none"),
                phrase("Write listen = \"0.0.0.0\" (or this machine's address in the office) under [mirror] in config/verbund.toml and start the node anew."));
  }
  auto mirror = read_mirror();
  if (!mirror) return pass(mirror);
  if (*mirror && !replace) {
    return fail(ErrorCode::kAlreadyExists, phrase("invite a mirror: {} is the mirror since {}", (*mirror)->name, to_iso8601((*mirror)->since)),
                phrase("`verbund mirror invite --replace` lets another machine take its place; the old one then follows no longer."));
  }
  const auto digest = access::fingerprint(certificates_.ca_pem);
  if (!digest) return std::unexpected(digest.error());
  const MirrorCode code{os::random_hex(kCodeSecretBytes), digest->substr(0, kCodeFingerprintBytes)};
  const Invitation invitation{os::blake2b_hex(code.secret), user, clock_.wall() + valid, {}, replace};
  if (auto written = write(invitation); !written) return pass(written);
  log_.info("mirror.invited", {{"by", user}, {"until", to_iso8601(invitation.until)}});
  return json::serialize(json::object{{"code", to_text(code)}, {"until", to_iso8601(invitation.until)}, {"port", port_()}});
}

Result<ProductionSide::Invitation> ProductionSide::good_invitation(const std::string& code) const {
  const auto refuse = [this](Phrase why) {
    log_.warning("mirror.code_refused", {{"why", why.english()}});
    return fail(ErrorCode::kUnauthenticated, phrase("join as mirror: {}", why), phrase("`verbund mirror invite` on production gives a new code."));
  };
  auto parsed = parse_mirror_code(code);
  if (!parsed) return pass(parsed);
  auto invitation = read_invitation();
  if (!invitation) return pass(invitation);
  if (!*invitation || !os::equal_secrets((*invitation)->code_hash, os::blake2b_hex(parsed->secret))) return refuse(phrase("the code is wrong, or a newer one was given out"));
  if ((*invitation)->used) return refuse(phrase("the code was used at {}", to_iso8601(*(*invitation)->used)));
  if ((*invitation)->until < clock_.wall()) return refuse(phrase("the code was good until {}", to_iso8601((*invitation)->until)));
  return std::move(**invitation);
}

Result<Connection> ProductionSide::superuser() const {
  auto settings = CommandServer::connection(installation_, "postgres");
  if (!settings) return pass(settings);
  return Connection::open(*settings);
}

Result<std::uint64_t> ProductionSide::database_bytes() const {
  auto connection = superuser();
  if (!connection) return pass(connection);
  auto rows = connection->query("SELECT sum(pg_database_size(oid))::bigint FROM pg_database");
  if (!rows) return pass(rows);
  return parse_u64(rows->text(0, 0));
}

Result<std::string> ProductionSide::look(const std::string& code) {
  if (auto good = good_invitation(code); !good) return pass(good);
  auto connection = superuser();
  if (!connection) return pass(connection);
  const auto bytes = database_bytes();
  if (!bytes) return std::unexpected(bytes.error());
  return json::serialize(json::object{{"name", installation_.settings().name}, {"version", kVersion}, {"postgres", std::to_string(connection->server_version() / 10000)},
                                      {"bytes", std::to_string(*bytes)}, {"term", std::to_string(term_.value)}});
}

mirror::Member ProductionSide::free_member(const std::optional<Mirror>& replaced) const {
  mirror::Member member = 1;
  while (member == seat_.member() || (replaced && member == replaced->member)) ++member;
  return member;
}

Status ProductionSide::begin() {
  const auto other = seat_.peer();
  if (!seat_.paired() || !other) return {};
  auto known = read_mirror();
  if (!known) return pass(known);
  if (*known && (*known)->member == other->member) return {};
  auto secret = installation_.secret(kPairSecret);
  if (!secret) return pass(secret);
  return write(Mirror{other->name, other->host, os::blake2b_hex(*secret), clock_.wall(), other->member});
}

Status ProductionSide::admit(const std::optional<Mirror>& replaced, mirror::Member member, const std::string& password) {
  auto connection = superuser();
  if (!connection) return pass(connection);
  const auto room = os::free_bytes(installation_.directory() / "postgres");
  if (!room) return std::unexpected(room.error());
  // An older mirror's slot may have lost its log, and its secret must end.
  for (const auto each : {replaced ? replaced->member : member, member}) {
    if (auto gone = mirror::dismiss_mirror(*connection, each); !gone) return gone;
  }
  return mirror::admit_mirror(*connection, member, password, mirror::slot_keep_bytes(*room));
}

Result<std::string> ProductionSide::admission(const std::string& user, const std::string& password, mirror::Member member) {
  json::object secrets, files;
  for (const char* role : kSecrets) {
    auto secret = installation_.secret(role);
    if (!secret) return pass(secret);
    secrets[role] = *secret;
  }
  // So that the mirror can tell people, too. Not every office has one.
  auto mail = installation_.secret(kMailSecret);
  if (!mail && mail.error().code != ErrorCode::kNotFound) return pass(mail);
  if (mail) secrets[kMailSecret] = *mail;
  for (const char* name : kFiles) {
    auto text = os::read_file(installation_.directory() / "config" / name, 1024 * 1024);
    if (!text) return pass(text);
    files[name] = *text;
  }
  auto key = os::read_file(installation_.directory() / "tls" / "ca.key", 64 * 1024);
  if (!key) return pass(key);
  auto token = accounts_.create_token(user, "mirror: client.toml");
  if (!token) return pass(token);
  return json::serialize(json::object{{"member", std::to_string(member)}, {"production_member", std::to_string(seat_.member())}, {"term", std::to_string(term_.value)}, {"password", password}, {"user", user}, {"token", *token},
                                      {"database_port", std::to_string(installation_.settings().postgres_port)}, {"database_listen", installation_.settings().postgres_listen},
                                      {"mirror_listen", installation_.settings().mirror_listen}, {"ca_crt", certificates_.ca_pem}, {"ca_key", *key},
                                      {"secrets", secrets}, {"files", files}});
}

Result<std::string> ProductionSide::join(const std::string& code, const std::string& name, const std::string& address) {
  const std::lock_guard one(joining_);
  auto invitation = good_invitation(code);
  if (!invitation) return pass(invitation);
  const auto password = os::random_hex(32);
  // Used before anything is given for it: no kill lets it count twice.
  invitation->used = clock_.wall();
  if (auto written = write(*invitation); !written) return pass(written);
  if (auto gone = follow_ ? follow_->let_go() : Status{}; !gone) return pass(gone);
  auto replaced = read_mirror();
  if (!replaced) return pass(replaced);
  const auto member = free_member(*replaced);
  if (auto admitted = admit(*replaced, member, password); !admitted) return pass(admitted);
  Mirror mirror{name, address, os::blake2b_hex(password), clock_.wall(), member};
  if (auto written = write(mirror); !written) return pass(written);
  if (auto begun = seat_.begin_pair({name, address, 0, 0, member}, password, term_); !begun) return pass(begun);
  if (follow_ != nullptr) follow_->let_in(member);
  {
    const std::lock_guard guard(mutex_);
    known_ = std::move(mirror);
    read_ = true;
    heard_.reset();
    ahead_since_.reset();
  }
  log_.info("mirror.admitted", {{"name", name}, {"address", address}});
  return admission(invitation->user, password, member);
}

template <typename T>
Result<T> ProductionSide::ask(const std::function<Result<T>(Connection&)>& question) {
  if (!connection_ || !connection_->healthy()) {
    auto settings = installation_.connection("postgres");
    if (!settings) return pass(settings);
    auto opened = Connection::open(*settings, kPatience);
    if (!opened) return pass(opened);
    // A database that hangs must not take all workers with it, a heartbeat each.
    if (auto bounded = opened->execute("SET statement_timeout = '3s'"); !bounded) return pass(bounded);
    connection_ = std::move(*opened);
  }
  return question(*connection_);
}

bool ProductionSide::log_is_there(Lsn from) const {
  // A promotion may have written this part of the log anew under its own timeline's name.
  const auto part = postgres::segment_name(0, from).substr(8);
  std::error_code error;
  for (std::filesystem::directory_iterator at(installation_.directory() / "postgres" / "data" / "pg_wal", error), end; !error && at != end; at.increment(error)) {
    const auto name = at->path().filename().string();
    if (postgres::is_segment_name(name) && name.ends_with(part)) return true;
  }
  return static_cast<bool>(error);  // what can't be seen is no reason for an alarm
}

Result<mirror::SlotSafety> ProductionSide::slot(mirror::Member member) {
  const auto read = [&] { return ask<mirror::SlotSafety>([&](Connection& connection) { return mirror::read_slot(connection, member); }); };
  const auto missing = [&](const mirror::SlotSafety& slot) { return !slot.active && !slot.lost && slot.kept_bytes > 0 && !log_is_there(slot.from); };
  auto slot = read();
  if (!slot || !missing(*slot)) return slot;
  // Twice: between the two looks the mirror may have gone on, and what it no longer needs been removed.
  const auto from = slot->from;
  slot = read();
  if (slot && slot->from == from && missing(*slot)) slot->lost = true;
  return slot;
}

Status ProductionSide::check_known(const std::string& secret) {
  if (!read_) {
    auto mirror = read_mirror();
    if (!mirror) return pass(mirror);
    known_ = std::move(*mirror);
    read_ = true;
  }
  if (!known_ || !os::equal_secrets(known_->secret_hash, os::blake2b_hex(secret))) {
    return fail(ErrorCode::kUnauthenticated, phrase("hear a mirror: this machine is not its mirror (any more)"),
                phrase("`verbund mirror invite` on production and `verbund mirror join` into a new directory make it one."));
  }
  return {};
}

Status ProductionSide::check(const std::string& secret) {
  const std::lock_guard guard(mutex_);
  return check_known(secret);
}

Result<std::string> ProductionSide::beat(const std::string& secret, const std::string& body) {
  auto object = object_of(body);
  if (!object) return pass(object);
  const auto received = received_from(*object);
  if (!received) return std::unexpected(received.error());
  const auto version = text_of(*object, "version");
  if (!version) return std::unexpected(version.error());
  const auto port = number_of(*object, "port");
  if (!port) return std::unexpected(port.error());
  const std::lock_guard guard(mutex_);
  if (auto known = check_known(secret); !known) return pass(known);
  heard_ = Heard{*received, *version, *port, clock_.now(), {}};
  if (const auto promote = number_of(*object, "promote_ms"); promote) heard_->promote_ms = *promote;
  if (watch_) watch_->hear(*object);
  auto beat = ask<mirror::Beat>([](Connection& connection) { return mirror::read_beat(connection); });
  if (!beat) return pass(beat);
  meter_.heard(*beat, clock_.now());
  // Asked for after the mirror has spoken: what it has was sent from here before.
  if (received->received <= beat->position) ahead_since_.reset();
  else if (!ahead_since_) ahead_since_ = clock_.now();
  auto slot = this->slot(known_->member);
  if (!slot) return pass(slot);
  json::object answer = to_json(*beat);
  answer["name"] = installation_.settings().name;
  answer["version"] = kVersion;
  answer["term"] = std::to_string(term_.value);
  answer["slot"] = to_json(std::optional(*slot));
  if (follow_) follow_->answer_beat(*received, answer);
  if (const auto own = watch_ ? watch_->message() : std::nullopt) answer["machine"] = *own;
  return json::serialize(answer);
}

std::optional<Lsn> ProductionSide::mirror_has() {
  if (!seat_.paired() || !seat_.peer()) return std::nullopt;
  const std::lock_guard guard(mutex_);
  return heard_ ? heard_->received.received : Lsn{};
}

std::optional<mirror::Watched> ProductionSide::watched() {
  const auto other = seat_.peer();
  if (!seat_.paired() || !other) return std::nullopt;
  mirror::Watched watched{.production = true, .other = other->name};
  if (follow_) watched.interval = follow_->interval();
  watched.witness_silent = seat_.witness_silent();
  if (const auto report = seat_.taken_over()) watched.took_over = report->span;
  const auto slot = watched_slot(other->member);
  if (slot) {
    watched.slot_lost = slot->lost;
    watched.safe_bytes = slot->safe_bytes;
  } else if (slot.error().code != ErrorCode::kNotFound) {
    watch_connection_.reset();
  }
  const std::lock_guard guard(mutex_);
  const auto now = clock_.now();
  watched.silent = now - (heard_ ? heard_->at : since_);
  if (heard_ && ahead_since_) watched.ahead = now - *ahead_since_;
  if (heard_) watched.behind = meter_.behind(heard_->received.received, now);
  return watched;
}

/// Over a connection of its own: heartbeats are not kept waiting for it.
Result<mirror::SlotSafety> ProductionSide::watched_slot(mirror::Member member) {
  if (!watch_connection_ || !watch_connection_->healthy()) {
    auto settings = installation_.connection("postgres");
    if (!settings) return pass(settings);
    auto opened = Connection::open(*settings, kPatience);
    if (!opened) return pass(opened);
    if (auto bounded = opened->execute("SET statement_timeout = '3s'"); !bounded) return pass(bounded);
    watch_connection_ = std::move(*opened);
  }
  return mirror::read_slot(*watch_connection_, member);
}

Result<std::string> ProductionSide::status() {
  json::object root{{"role", "production"}, {"name", installation_.settings().name}, {"version", kVersion}, {"term", std::to_string(term_.value)}, {"mirror", nullptr}, {"pair", seat_.view_json()}};
  if (follow_) root["follow"] = follow_->status();
  auto mirror = read_mirror();
  if (!mirror) return pass(mirror);
  if (!*mirror) return json::serialize(root);
  if (watch_) watch_->show(root);
  const std::lock_guard guard(mutex_);
  auto beat = ask<mirror::Beat>([](Connection& connection) { return mirror::read_beat(connection); });
  if (!beat) return pass(beat);
  auto slot = this->slot((*mirror)->member);
  if (!slot && slot.error().code != ErrorCode::kNotFound) return pass(slot);
  const auto now = clock_.now();
  meter_.heard(*beat, now);
  if (const auto promised = follow_ ? follow_->promise() : std::nullopt) meter_.promised(now + *promised);
  root["position"] = to_string(beat->position);
  json::object shown{{"name", (*mirror)->name}, {"address", (*mirror)->address}, {"since", to_iso8601((*mirror)->since)}, {"heard_age_ms", nullptr}, {"behind", nullptr}, {"loss", nullptr}};
  if (heard_) {
    shown["heard_age_ms"] = std::chrono::duration_cast<milliseconds>(now - heard_->at).count();
    shown["version"] = heard_->version;
    shown["promote_ms"] = heard_->promote_ms ? json::value(std::to_string(*heard_->promote_ms)) : json::value(nullptr);
    for (const auto& [name, value] : to_json(heard_->received)) shown[name] = value;
    shown["behind"] = to_json(meter_.behind(heard_->received.received, now));
    shown["loss"] = to_json(meter_.report(term_, heard_->received.received, {}, now));
  }
  root["mirror"] = shown;
  root["slot"] = slot ? to_json(std::optional(*slot)) : json::value(nullptr);
  return json::serialize(root);
}

}  // namespace verbund::node
