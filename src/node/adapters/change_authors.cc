#include "node/adapters/change_authors.h"

#include "sync/server/settle.h"

namespace verbund::node {
namespace {

constexpr seconds kDatabaseWait{10};

using history::Author;

}  // namespace

void ChangeAuthors::note(const feed::TransactionEvent& event, const cluster::Service& service) {
  if (event.by) return;  // the journal itself says who it was
  Holders holders;
  const auto look = [&](const RecordKey& key) {
    const auto held = service.author(key, event.commit_time);
    if (held.how != protocol::ChangeAuthor::How::kLock) return;
    holders.emplace_back(key, Author{Author::How::kLock, held.session, held.workstation, held.user});
  };
  for (const auto& record : event.records) {
    look(record.key);
    if (record.was) look(*record.was);
  }
  for (const auto& [type, count] : event.bulk) {
    for (auto& [key, held] : service.authors(type, event.commit_time)) {
      holders.emplace_back(std::move(key), Author{Author::How::kLock, held.session, held.workstation, held.user});
    }
  }
  if (holders.empty()) return;
  const std::scoped_lock lock(mutex_);
  noted_pairs_ += holders.size();
  noted_.emplace(event.cursor.csn, std::move(holders));
  while (noted_pairs_ > kMostNoted) {
    noted_pairs_ -= noted_.begin()->second.size();
    noted_.erase(noted_.begin());
  }
}

Result<Author> ChangeAuthors::author(Csn transaction, SessionId by, WallTime committed, const RecordKey& record) {
  if (by) return by_session(by);
  {
    const std::scoped_lock lock(mutex_);
    if (const auto found = noted_.find(transaction); found != noted_.end()) {
      const auto holder = std::ranges::find(found->second, record, &Holders::value_type::first);
      if (holder != found->second.end()) return holder->second;
    }
  }
  const auto held = held_before_.find(record);
  if (held == held_before_.end() || committed < held->second.since || committed >= started_) return Author{};
  auto author = by_session(held->second.session);
  if (author) author->how = Author::How::kLock;
  return author;
}

void ChangeAuthors::held_at_start(const std::vector<guard::LockRow>& rows) {
  started_ = clock_.wall();
  for (const auto& row : rows) {
    // Locks that were held when the guard began were written without their session.
    if (row.session) held_before_[row.key] = {row.session, row.since};
  }
}

Result<Author> ChangeAuthors::by_session(SessionId session) {
  if (const auto known = sessions_.find(session); known != sessions_.end()) return known->second;
  auto lease = mid_tier_.acquire(Deadline::in(clock_, kDatabaseWait));
  if (!lease) return pass(lease);
  const auto device = session.value >= sync::server::kApplyAuthors;
  auto rows = device ? (*lease)->query("SELECT d.name, d.user_name FROM sync.apply a JOIN sync.device d ON d.id = a.device WHERE a.id = $1::bigint",
                                       {std::to_string(session.value - sync::server::kApplyAuthors)})
                     : (*lease)->query(
      "SELECT workstation, user_name FROM node.session WHERE id = $1::bigint"
      " UNION ALL SELECT workstation, user_name FROM node.past_session WHERE id = $1::bigint LIMIT 1",
      {std::to_string(session.value)});
  if (!rows) return pass(rows, "session of a change");
  Author author{Author::How::kMessage, session, {}, {}};
  if (rows->size() == 1) {
    author.workstation = std::string(rows->text(0, 0));
    author.user = std::string(rows->text(0, 1));
  }
  if (sessions_.size() >= kMostSessions) sessions_.clear();
  sessions_.emplace(session, author);
  return author;
}

void ChangeAuthors::stored(Csn upto) {
  const std::scoped_lock lock(mutex_);
  const auto end = noted_.upper_bound(upto);
  for (auto at = noted_.begin(); at != end; ++at) noted_pairs_ -= at->second.size();
  noted_.erase(noted_.begin(), end);
}

}  // namespace verbund::node
