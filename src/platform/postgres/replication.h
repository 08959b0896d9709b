#pragma once
/// The streaming replication protocol as a consumer of a logical slot sees it.
/// Source: PostgreSQL manual, "Streaming Replication Protocol" (START_REPLICATION, XLogData 'w', keepalive 'k',
/// standby status update 'r'). Threads: one. `interrupt` alone may be called from any thread.
#include <memory>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "platform/postgres/connection.h"

namespace verbund::postgres {

struct SystemIdentity {
  std::string system_id;   ///< pg_control's system identifier, decimal
  std::uint32_t timeline = 0;
  Lsn flushed;             ///< current WAL flush position
};

/// Creating a slot with an exported snapshot: data as of `consistent_point` can be read by
/// `SET TRANSACTION SNAPSHOT` as long as the replication connection issues no other command.
struct NewSlot {
  std::string name;
  Lsn consistent_point;
  std::string snapshot;
};

class ReplicationStream {
 public:
  /// Opens a connection with replication=database.
  static Result<ReplicationStream> open(const ConnectionSettings& settings);
  ReplicationStream(ReplicationStream&&) noexcept;
  ReplicationStream& operator=(ReplicationStream&&) noexcept;
  ~ReplicationStream();

  Result<SystemIdentity> identify();
  /// CREATE_REPLICATION_SLOT name LOGICAL pgoutput (SNAPSHOT 'export'). Errors: kAlreadyExists, kServerSetting
  /// (wal_level, no free slot, right to replicate), kTimedOut (transactions stayed open for longer than lock_timeout).
  Result<NewSlot> create_slot(std::string_view name);
  /// Errors: kNotFound, kInUse (a walsender still holds it: it may need a moment to notice that its client has gone).
  Status drop_slot(std::string_view name);

  /// START_REPLICATION SLOT name LOGICAL from (proto_version '1', publication_names 'publication', messages 'true').
  /// PostgreSQL skips silently to confirmed_flush when `from` is older: the caller has compared them before.
  /// Errors: kInUse (slot active, names the pid), kSnapshotNeeded (wal_status lost), kNotFound.
  Status start(std::string_view slot, Lsn from, std::string_view publication);

  struct Event {
    enum class Kind { kData, kKeepalive, kIdle } kind = Kind::kIdle;
    std::string_view data;  ///< kData: one pgoutput message; valid until the next `next`
    Lsn wal_start;          ///< kData: where it starts
    Lsn wal_end;            ///< the server's current end of WAL
    bool reply_requested = false;
  };
  /// Waits for the next message, at most until the deadline (then kIdle). `next` with data buffered makes no system call.
  /// Errors: kDatabaseDown, kCancelled (interrupted; the stream goes on), kBadStream, kNotFound (publication gone),
  /// kSnapshotNeeded (WAL removed). After an error other than kCancelled the stream is over: open a new one.
  Result<Event> next(nanoseconds wait);
  /// True when a message can be had without waiting.
  bool ready();
  /// Standby status update: everything up to `flushed` is durable here; the server may remove WAL before it. Never
  /// goes backwards. Confirm a keepalive's wal_end whenever nothing is open: a server that shuts down waits for it
  /// (LESSONS: an idle slot keeps WAL, too). Keepalives that ask for a reply are answered with the last confirmation
  /// even if the caller does nothing.
  Status confirm(Lsn flushed);
  /// Makes a waiting or the next `next` return kCancelled. From any thread.
  void interrupt();

 private:
  struct Impl;
  explicit ReplicationStream(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace verbund::postgres
