#pragma once
/// What production's PostgreSQL is asked for and told about commits that wait for the mirror. Blocking; one thread per connection.
/// When: sync_engine.h.
#include <filesystem>

#include "mirror/pair.h"
#include "mirror/sync_engine.h"
#include "platform/postgres/connection.h"

namespace verbund::mirror {

/// `follows` stays false: only the mirror's node knows. Two receivers by the mirror's name: the one that is less far.
Result<SyncFacts> read_sync_facts(postgres::Connection& production, Member member);

/// How many commits wait for the mirror this moment.
Result<std::uint64_t> waiting_commits(postgres::Connection& production);

/// Commits wait for the mirror from now on, by a line in the server's live settings (postgres/live_settings.h) that outlives this process;
/// `promises_of` beside it, for the life after. Returns a position before which everything lies that was acknowledged without waiting: proven
/// by a checkpoint, since only the checkpointer makes commits wait. They may wait unattended for `within`, no longer. Errors: kTimedOut (the server does not take it up), kIo, kDiskFull.
Result<Lsn> engage_mirror(const std::filesystem::path& server, const postgres::ConnectionSettings& superuser, Member member,
                          nanoseconds promises_of, nanoseconds within, const Clock& clock);
/// Commits no longer wait, and those that do are let go. On a connection that is open already: when commits hang there may be no other.
Status release_mirror(const std::filesystem::path& server, postgres::Connection& superuser);

/// As a life that begins finds it. Errors: kIo.
Result<sync::Booted> found_engaged(const std::filesystem::path& server);

}  // namespace verbund::mirror
