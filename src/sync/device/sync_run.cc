#include "sync/device/sync_run.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <tuple>

#include <boost/json/parse.hpp>
#include <fmt/format.h>

#include "base/messages.h"
#include "platform/os/short_hash.h"
#include "sync/device/folders.h"
#include "sync/device/freeze.h"
#include "sync/device/kept_json.h"
#include "sync/device/lease.h"
#include "sync/device/repair.h"
#include "sync/model/fields.h"

namespace verbund::sync::device {
namespace {

using sqlite::quote_text;

constexpr int kInLine = 202;

Error cancelled() { return make_error(ErrorCode::kCancelled, phrase("sync: it was cancelled")); }

/// Worse first.
SyncResult worse(SyncResult left, SyncResult right) { return std::min(left, right); }

}  // namespace

std::string_view name_of(SyncResult result) {
  switch (result) {
    case SyncResult::kCanceled:
      return "canceled";
    case SyncResult::kFailed:
      return "failed";
    case SyncResult::kSucceeded:
      break;
  }
  return "succeeded";
}

Error error_of(const DeviceAnswer& answer) {
  boost::system::error_code failed;
  const auto body = boost::json::parse(answer.body, failed);
  const auto* object = failed ? nullptr : body.if_object();
  const auto* error = object == nullptr ? nullptr : object->if_contains("error");
  if (error == nullptr || !error->is_object()) return make_error(ErrorCode::kInternal, phrase("sync: the server answers {}", answer.status));
  const auto text = [&](std::string_view name) {
    const auto* value = error->get_object().if_contains(name);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
  };
  return Error{code_from_wire(text("code")), text("message"), text("hint")};
}

SyncRun::SyncRun(sqlite::Database& database, const std::filesystem::path& file, const Clock& clock, DeviceTransport& transport, const SyncEvents& events, std::stop_token stop)
    : database_(database), file_(file), clock_(clock), transport_(transport), events_(events), stop_(std::move(stop)) {}

Result<DeviceAnswer> SyncRun::call(std::string method, std::string target, std::string body) {
  if (stop_.stop_requested()) return std::unexpected(cancelled());
  auto answer = transport_.call({std::move(method), std::move(target), authorization_, std::move(body)}, stop_);
  if (!answer) return answer;
  if (answer->status != 200 && answer->status != 202) return std::unexpected(error_of(*answer));
  return answer;
}

Result<SyncRequest> SyncRun::freeze(const std::string& set) {
  SyncRequest request;
  request.set = set;
  auto history = database_.value("SELECT history FROM verbund_device");
  if (!history) return pass(history);
  request.history = std::move(*history);
  // Before anything else: what was frozen and never arrived.
  auto waiting = database_.prepare("SELECT number, hash, parts FROM verbund_upload WHERE sent = 0 ORDER BY number LIMIT 1");
  if (!waiting) return pass(waiting);
  auto there = waiting->step();
  if (!there) return pass(there);
  if (*there) {
    request.upload = static_cast<std::uint64_t>(waiting->integer(0));
    request.upload_hash = std::string(waiting->text(1));
    auto frozen = decode_sync_request(waiting->text(2));
    if (!frozen) return pass(frozen);
    request.parts = std::move(frozen->parts);
    request.upload_history = std::move(frozen->history);
    waiting->reset();
    auto more = database_.value("SELECT count(*) > 1 FROM verbund_upload WHERE sent = 0");
    if (!more) return pass(more);
    request.more = *more == "1";
  } else if (auto frozen = freeze_changes(database_, request); !frozen) {
    return pass(frozen);
  }
  auto keeps = database_.value("SELECT EXISTS (SELECT 1 FROM verbund_upload)");
  if (!keeps) return pass(keeps);
  request.keeps = *keeps == "1";
  auto all = known_subscriptions(database_);
  if (!all) return pass(all);
  auto wanted = asked(database_);
  if (!wanted) return pass(wanted);
  for (const auto& [name, each] : *all) {
    request.cursors.push_back(each.cursor);
    if (!wanted->contains(name) || request.more) continue;
    auto sums = sums_of(database_, each.layout);
    if (!sums) return pass(sums);
    request.cursors.back().sums = std::move(*sums);
  }
  return request;
}

/// The sync that was interrupted, or a new one.
Status SyncRun::begin(const std::string& set) {
  auto transaction = database_.begin();
  if (!transaction) return pass(transaction);
  auto row = database_.prepare("SELECT 'Device ' || id || ':' || secret, request FROM verbund_device");
  if (!row) return pass(row);
  auto there = row->step();
  if (!there) return pass(there);
  authorization_ = std::string(row->text(0));
  const std::string open(row->text(1));
  row->reset();
  resumed_ = !open.empty();
  if (resumed_) {
    auto request = decode_sync_request(open);
    if (!request) return pass(request);
    request_ = std::move(*request);
    return transaction->commit();
  }
  auto request = freeze(set);
  if (!request) return pass(request);
  auto number = database_.value("UPDATE verbund_device SET number = number + 1 RETURNING number");
  if (!number) return pass(number);
  request->number = std::stoull(*number);
  request_ = std::move(*request);
  auto noted = database_.execute(fmt::format("UPDATE verbund_device SET request = {}", quote_text(encode(request_))));
  if (!noted) return noted;
  return transaction->commit();
}

Status SyncRun::send() {
  if (request_.upload == 0) return {};
  auto blocks = database_.prepare("SELECT b.block, b.content, u.rows FROM verbund_upload_block b JOIN verbund_upload u ON u.number = b.number WHERE b.number = ? AND u.sent = 0 ORDER BY b.block");
  if (!blocks) return pass(blocks);
  blocks->integer(1, static_cast<std::int64_t>(request_.upload));
  for (;;) {
    auto more = blocks->step();
    if (!more) return pass(more);
    if (!*more) return {};
    sent_ = static_cast<std::uint64_t>(blocks->integer(2));
    auto sent = call("PUT", fmt::format("/api/device/uploads/{}/{}", request_.upload, blocks->integer(0)), std::string(blocks->text(1)));
    if (!sent) return pass(sent);
  }
}

Result<SyncReply> SyncRun::ask() {
  if (stop_.stop_requested()) return std::unexpected(cancelled());
  const DeviceCall question{"POST", "/api/device/syncs", authorization_, encode(request_)};
  auto answer = transport_.call(question, stop_);
  while (answer && answer->status == kInLine) {
    if (auto waited = wait_in_line(*answer); !waited) return pass(waited);
    answer = transport_.call(question, stop_);
  }
  if (!answer) return pass(answer);
  if (answer->status != 200) return std::unexpected(take_split(*answer));
  auto reply = decode_sync_reply(answer->body);
  if (!reply || reply->again) return reply;
  auto taken = database_.execute(fmt::format("UPDATE verbund_upload SET sent = 1 WHERE number = {}", request_.upload));
  if (!taken) return pass(taken);
  return reply;
}

/// Other devices that begin anew are before this one: the server says how many, and when to ask again.
Status SyncRun::wait_in_line(const DeviceAnswer& answer) {
  constexpr std::uint64_t kShortest = 50, kLongest = 60'000;
  auto fields = Fields::parse(answer.body, "sync reply");
  const auto place = fields.number("place");
  const auto pause = std::clamp(fields.number("retry_ms"), kShortest, kLongest);
  if (!fields.status()) return fields.status();
  if (events_.on_waiting) events_.on_waiting(place);
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::unique_lock lock(mutex);
  stopped.wait_for(lock, stop_, milliseconds{static_cast<std::int64_t>(pause)}, [] { return false; });
  return stop_.stop_requested() ? Status(std::unexpected(cancelled())) : Status{};
}

/// The office has this device's key, and gives it to nobody whom it has revoked.
Status SyncRun::open_lock() {
  auto lease = lease_of(database_);
  if (!lease) return pass(lease);
  if (!lease->locked) return {};
  auto shown = database_.value("SELECT 'Device ' || id || ':' || secret FROM verbund_device");
  if (!shown) return pass(shown);
  authorization_ = std::move(*shown);
  auto answer = call("POST", "/api/device/unlock", "{}");
  if (!answer) return pass(answer);
  auto fields = Fields::parse(answer->body, "unlock");
  auto secret = os::from_base64(fields.text("secret"));
  if (!fields.status()) return fields.status();
  if (!secret) return pass(secret);
  return unlock(database_, file_, *secret, clock_.wall());
}

/// What the server says instead of a reply. When it gives this copy of a device's database an identity of its own, the error is kSnapshotNeeded: another sync.
Error SyncRun::take_split(const DeviceAnswer& answer) {
  auto error = error_of(answer);
  boost::system::error_code failed;
  const auto body = boost::json::parse(answer.body, failed);
  const auto* split = failed || !body.is_object() ? nullptr : body.get_object().if_contains("split");
  if (split == nullptr || !split->is_object()) return error;
  const auto text = [&](std::string_view name) {
    const auto* value = split->get_object().if_contains(name);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
  };
  if (text("device").empty() || text("secret").empty()) return error;
  auto transaction = database_.begin();
  if (!transaction) return transaction.error();
  auto noted = database_.execute(fmt::format("UPDATE verbund_device SET id = {}, secret = {}, request = ''; UPDATE verbund_upload SET sent = 0; DELETE FROM verbund_outcome", quote_text(text("device")),
                                             quote_text(text("secret"))));
  if (!noted) return noted.error();
  if (auto committed = transaction->commit(); !committed) return committed.error();
  error.code = ErrorCode::kSnapshotNeeded;
  return error;
}

/// The server was set back, or another machine goes on with less than this device has seen. Whatever is not known to be safe goes up again, before anything else.
Status SyncRun::begin_again(const SyncReply& reply) {
  auto transaction = database_.begin();
  if (!transaction) return pass(transaction);
  auto noted = database_.execute(fmt::format("UPDATE verbund_device SET request = '', history = {}; UPDATE verbund_subscription SET csn = 0; UPDATE verbund_upload SET sent = 0; DELETE FROM verbund_outcome",
                                             quote_text(reply.history)));
  if (!noted) return noted;
  return transaction->commit();
}

SessionReport SyncRun::take_session(const Session& session, const SyncReply& reply) {
  SessionReport report;
  report.subscription = session.subscription;
  Status done;
  if (session.mode == Session::Mode::kFailed) {
    done = std::unexpected(Error{code_from_wire(session.error), session.message, {}});
  } else if (session.mode == Session::Mode::kSums) {
    asked_ = true;
    done = note_asked(database_, session.subscription);
  } else if (stop_.stop_requested()) {
    done = std::unexpected(cancelled());
  } else {
    const auto told = new_rejects_.size();
    done = apply(session, reply, report);
    if (!done) new_rejects_.resize(told);  // rolled back: they are told again
  }
  if (done) return report;
  report.result = done.error().code == ErrorCode::kCancelled ? SyncResult::kCanceled : SyncResult::kFailed;
  auto noted = database_.execute(fmt::format("UPDATE verbund_subscription SET last_error = {} WHERE name = {}", quote_text(done.error().message), quote_text(session.subscription)));
  report.error = noted ? std::move(done.error()) : std::move(noted.error());
  return report;
}

Status SyncRun::finish(const SyncReply& reply, SyncReport& report) {
  AckRequest ack;
  for (const auto& session : reply.sessions) {
    auto done = take_session(session, reply);
    if (done.error && done.error->code == ErrorCode::kSnapshotNeeded) return std::unexpected(*done.error);
    if (done.result == SyncResult::kSucceeded && session.mode != Session::Mode::kSums) ack.sessions.push_back(session.subscription);
    report.result = worse(report.result, done.result);
    report.sessions.push_back(std::move(done));
  }
  if (report.result == SyncResult::kCanceled) return std::unexpected(cancelled());
  if (request_.set.empty() && !request_.more) {
    if (auto forgotten = forget_others(reply); !forgotten) return forgotten;
  }
  auto acked = call("POST", fmt::format("/api/device/syncs/{}/ack", request_.number), encode(ack));
  if (!acked) return pass(acked);
  auto transaction = database_.begin();
  if (!transaction) return pass(transaction);
  if (auto forgotten = forget_decided(reply.safe_upload); !forgotten) return forgotten;
  if (auto noted = note_servers(reply); !noted) return noted;
  if (auto noted = note_lease(database_, reply, clock_.wall()); !noted) return noted;
  auto noted = database_.execute(fmt::format("UPDATE verbund_device SET request = '', history = {}, last_sync = {}, last_result = {}, next_in_ms = {}", quote_text(reply.history),
                                             quote_text(to_iso8601(clock_.wall())), quote_text(name_of(report.result)), reply.next_in.count()));
  if (!noted) return noted;
  if (auto committed = transaction->commit(); !committed) return committed;
  report.next_in = reply.next_in;
  return {};
}

void SyncRun::count(const SyncReply& reply, SyncReport& report) const {
  for (const auto& outcome : reply.outcomes) {
    if (request_.more) break;  // told again with the last one
    const auto session = std::ranges::find(reply.sessions, outcome.subscription, &Session::subscription);
    if (session != reply.sessions.end() && session->mode == Session::Mode::kSums) continue;  // told again with the next sync
    if (outcome.state == Outcome::State::kApplied) ++report.applied;
    if (outcome.state == Outcome::State::kRejected) ++report.rejected;
    if (outcome.state == Outcome::State::kWaiting) ++report.waiting;
  }
  report.sent += sent_;
  for (const auto& reject : new_rejects_) {
    if (events_.on_reject) events_.on_reject(reject);
  }
}

/// Behind the rows: each folder by itself, resumed by what lies there.
Status SyncRun::sync_folders(const std::string& set, SyncReport& report) {
  FolderRun run(database_, file_, [this](std::string method, std::string target, std::string body) { return call(std::move(method), std::move(target), std::move(body)); }, events_, stop_);
  if (set.empty()) {
    if (auto forgotten = run.forget_others(folders_); !forgotten) return forgotten;
  }
  for (const auto& folder : folders_) {
    auto done = run.run(folder);
    report.result = worse(report.result, done.result);
    if (done.result == SyncResult::kCanceled || (done.error && done.error->code == ErrorCode::kRevoked)) report.error = done.error;
    report.sessions.push_back(std::move(done));
    if (report.error) return {};
  }
  return {};
}

Result<SyncReport> SyncRun::run(const std::string& set) {
  constexpr int kAttempts = 6;  // an interrupted one, one whose reply is gone, one that is told to begin again, the real one, and once more with what the server has asked for
  SyncReport report;
  if (auto opened = open_lock(); !opened) {
    report.result = opened.error().code == ErrorCode::kCancelled ? SyncResult::kCanceled : SyncResult::kFailed;
    report.error = std::move(opened.error());
    return report;
  }
  for (int attempt = 0, attempts = kAttempts; attempt < attempts; ++attempt) {
    // What an interrupted sync brought to its end belongs to this one; sessions and what waits are those of the last.
    report = {.sessions = {}, .sent = report.sent, .applied = report.applied, .rejected = report.rejected, .error = {}};
    const auto settled = std::pair(report.applied, report.rejected);
    sent_ = 0;
    asked_ = false;
    new_rejects_.clear();
    if (auto begun = begin(set); !begun) return pass(begun);
    attempts += request_.more ? 1 : 0;  // there are as many as the device has kept
    Status done = send();
    Result<SyncReply> reply = done ? ask() : Result<SyncReply>(std::unexpected(done.error()));
    // Also when the history has changed while the server was answering: a session that is not applied now would keep a cursor that counts for another history.
    const bool moved_on = reply && !request_.history.empty() && reply->history != request_.history;
    if (reply && (reply->again || moved_on)) {
      if (auto begun = begin_again(*reply); !begun) return pass(begun);
      report.error = make_error(ErrorCode::kSnapshotNeeded, phrase("sync: the server's history is another one"));
      report.result = SyncResult::kFailed;
      continue;
    }
    if (reply) folders_ = reply->folders;
    if (reply) done = finish(*reply, report);
    if (reply) count(*reply, report);
    const auto error = reply ? (done ? std::nullopt : std::optional(done.error())) : std::optional(reply.error());
    if (!error && !resumed_ && !asked_ && !request_.more) {
      if (auto synced = sync_folders(set, report); !synced) return pass(synced);
      return report;
    }
    if (!error) continue;  // the interrupted one is over, now what came since
    if (error->code == ErrorCode::kSnapshotNeeded || (resumed_ && error->code == ErrorCode::kNotFound)) {
      // What became of its upload may have been told to a copy of this database that calls itself the same: it is asked for again.
      constexpr std::string_view kAbandon =
          "UPDATE verbund_device SET request = ''; UPDATE verbund_upload SET sent = 0 WHERE rows > (SELECT count(*) FROM verbund_outcome o WHERE o.upload = number)";
      if (auto forgotten = database_.execute(kAbandon); !forgotten) return pass(forgotten);
      std::tie(report.applied, report.rejected) = settled;  // they are told again
      report.error = error;
      report.result = SyncResult::kFailed;
      continue;
    }
    report.error = error;
    report.result = error->code == ErrorCode::kCancelled ? SyncResult::kCanceled : SyncResult::kFailed;
    return report;
  }
  return report;
}

}  // namespace verbund::sync::device
