#pragma once
/// The mid-tier transaction of one batch. What is small is queued and goes with the commit in one round trip; the
/// transaction is opened only when something has to be written before. One thread.
#include <string>
#include <vector>

#include "platform/postgres/connection.h"

namespace verbund::feed {

class BatchWriter {
 public:
  /// `mid_tier` outlives the writer and isn't moved. Without `commit` the destructor rolls back.
  explicit BatchWriter(postgres::Connection& mid_tier) : mid_tier_(mid_tier) {}

  /// Queues a statement: its errors come from a later call. Its result is not looked at.
  void add(std::string sql, std::vector<postgres::Parameter> parameters) {
    queued_.push_back({std::move(sql), std::move(parameters)});
  }
  /// To read as the batch has left it so far.
  Result<postgres::Connection*> reading();
  /// To write within the transaction, behind what was queued.
  Result<postgres::Connection*> writing();
  /// All or nothing. After an error the batch is undone, unless it is kDatabaseDown: then it may be committed.
  Status commit();

 private:
  Status begin();
  Status send();

  postgres::Connection& mid_tier_;
  std::optional<postgres::Connection::Transaction> transaction_;
  std::vector<postgres::Statement> queued_;
};

}  // namespace verbund::feed
