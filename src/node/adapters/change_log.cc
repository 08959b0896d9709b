#include "node/adapters/change_log.h"

#include "base/messages.h"

namespace verbund::node {
namespace {

protocol::ChangeOp to_protocol_op(feed::RecordEvent::Op op) {
  switch (op) {
    case feed::RecordEvent::Op::kInsert: return protocol::ChangeOp::kInsert;
    case feed::RecordEvent::Op::kUpdate: return protocol::ChangeOp::kUpdate;
    case feed::RecordEvent::Op::kDelete: return protocol::ChangeOp::kDelete;
  }
  return protocol::ChangeOp::kUpdate;
}

feed::RecordEvent::Op to_feed_op(protocol::ChangeOp op) {
  switch (op) {
    case protocol::ChangeOp::kInsert: return feed::RecordEvent::Op::kInsert;
    case protocol::ChangeOp::kUpdate: return feed::RecordEvent::Op::kUpdate;
    case protocol::ChangeOp::kDelete: return feed::RecordEvent::Op::kDelete;
  }
  return feed::RecordEvent::Op::kUpdate;
}

std::string_view state_name(feed::FeedState state) {
  switch (state) {
    case feed::FeedState::kRunning: return "running";
    case feed::FeedState::kStarting:
    case feed::FeedState::kWaiting: return "behind";
    case feed::FeedState::kStopped: return "stopped";
  }
  return "stopped";
}

}  // namespace

feed::FeedEvents FeedChangeLog::events() {
  feed::FeedEvents events;
  events.on_transaction = [this](feed::TransactionEvent event) {
    loop_.post([this, event = std::move(event)] {
      if (event.cursor.history == head_.history && event.cursor.csn <= head_.csn) return;
      head_ = event.cursor;
      if (service_) service_->on_changes(to_protocol(event));
      if (service_ && authors_) authors_->note(event, *service_);
      if (relay_) relay_->advance(head_);
    });
  };
  events.on_passed = [this](Lsn lsn) {
    if (waiting_) waiting_->note(lsn);
    loop_.post([this, lsn] {
      passed_ = lsn;
      if (relay_) relay_->passed(lsn);
      if (service_) service_->on_passed(lsn);
    });
  };
  events.on_snapshot = [this](std::string reason, Cursor cursor) {
    loop_.post([this, reason = std::move(reason), cursor = std::move(cursor)] {
      head_ = cursor;
      if (service_) service_->on_snapshot(reason, cursor);
      if (relay_) relay_->advance(head_);
    });
  };
  events.on_state = [this](feed::FeedState state, std::string reason) {
    loop_.post([this, state, reason = std::move(reason)] {
      state_ = state_name(state);
      reason_ = reason;
      tell_state();
    });
  };
  events.on_alarm = [this](std::string alarm) {
    loop_.post([this, alarm = std::move(alarm)] {
      alarm_ = alarm;
      tell_state();
    });
  };
  return events;
}

void FeedChangeLog::on_mirror_alarm(std::string alarm) {
  mirror_alarm_ = std::move(alarm);
  tell_state();
}

void FeedChangeLog::tell_state() {
  if (!service_) return;
  const auto alarm_in = [this](Language language) {
    const auto own = retold(language, alarm_), mirror = retold(language, mirror_alarm_);
    return own.empty() || mirror.empty() ? own + mirror : own + "; " + mirror;
  };
  service_->on_feed_state({state_, reason_, alarm_in(Language::kEnglish), retold(Language::kGerman, reason_), alarm_in(Language::kGerman)});
}

void FeedChangeLog::begin_at(feed::Feed& feed) {
  feed_ = &feed;
  head_ = feed.head();
}

protocol::Changes FeedChangeLog::to_protocol(const feed::TransactionEvent& event) const {
  protocol::Changes changes;
  changes.cursor = event.cursor;
  changes.lsn = event.commit_lsn;
  changes.time = event.commit_time;
  changes.truncated = event.truncated;
  for (const auto& [type, count] : event.bulk) changes.bulk.push_back({type, count});
  for (const auto& record : event.records) {
    changes.changes.push_back({record.key, to_protocol_op(record.op), record.was, record.tables});
  }
  if (!service_) return changes;
  if (event.by) {
    changes.by.how = protocol::ChangeAuthor::How::kMessage;
    changes.by.session = event.by;
    if (const auto session = service_->session(event.by)) {
      changes.by.workstation = session->workstation;
      changes.by.user = session->user;
    }
  } else if (!event.records.empty()) {
    changes.by = service_->author(event.records.front().key, event.commit_time);
  }
  return changes;
}

template <typename T>
void FeedChangeLog::on_worker(std::function<T()> task, std::function<void(T)> done) {
  auto shared = std::make_shared<std::function<void(T)>>(std::move(done));
  auto submitted = workers_.submit([this, task = std::move(task), shared] {
    loop_.post([result = task(), shared]() mutable { (*shared)(std::move(result)); });
  });
  if (!submitted) loop_.post([error = submitted.error(), shared] { (*shared)(std::unexpected(error)); });
}

void FeedChangeLog::replay(Cursor from, std::size_t limit,
                           std::function<void(Result<std::vector<protocol::Changes>>)> done) {
  using Events = Result<std::vector<feed::TransactionEvent>>;
  on_worker<Events>([this, from = std::move(from), limit] { return feed_->replay(from, limit); },
                    [this, done = std::move(done)](Events events) {
                      if (!events) return done(pass(events));
                      std::vector<protocol::Changes> changes;
                      for (const auto& event : *events) changes.push_back(to_protocol(event));
                      done(std::move(changes));
                    });
}

void FeedChangeLog::announce(std::vector<protocol::AnnouncedChange> changes, SessionId by,
                             std::function<void(Status)> done) {
  std::vector<feed::RecordEvent> records;
  for (auto& change : changes) records.push_back({to_feed_op(change.op), std::move(change.key), std::nullopt, {}});
  on_worker<Status>([this, records = std::move(records), by] { return feed_->announce(records, by); }, std::move(done));
}

void FeedChangeLog::current_lsn(std::function<void(Result<Lsn>)> done) {
  on_worker<Result<Lsn>>([this] { return feed_->current_lsn(); }, std::move(done));
}

}  // namespace verbund::node
