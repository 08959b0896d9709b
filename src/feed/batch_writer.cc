#include "feed/batch_writer.h"

namespace verbund::feed {

using postgres::Connection;

Status BatchWriter::begin() {
  if (transaction_) return {};
  auto begun = mid_tier_.begin();
  if (!begun) return pass(begun);
  transaction_.emplace(std::move(*begun));
  return {};
}

Status BatchWriter::send() {
  for (std::span<const postgres::Statement> rest(queued_); !rest.empty();) {
    const auto part = rest.first(std::min(rest.size(), Connection::kMaxPipelined));
    if (auto sent = mid_tier_.run(part); !sent) return pass(sent);
    rest = rest.subspan(part.size());
  }
  queued_.clear();
  return {};
}

Result<Connection*> BatchWriter::reading() {
  if (queued_.empty()) return &mid_tier_;
  return writing();
}

Result<Connection*> BatchWriter::writing() {
  if (auto begun = begin(); !begun) return pass(begun);
  if (auto sent = send(); !sent) return pass(sent);
  return &mid_tier_;
}

Status BatchWriter::commit() {
  if (!transaction_ && queued_.size() <= Connection::kMaxPipelined) {
    // Outside a transaction block these are one transaction.
    auto done = mid_tier_.run(queued_);
    queued_.clear();
    return done ? Status{} : pass(done);
  }
  if (auto written = writing(); !written) return pass(written);
  auto committed = transaction_->commit();
  transaction_.reset();
  return committed;
}

}  // namespace verbund::feed
