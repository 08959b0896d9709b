#pragma once
/// Published tables without a replica identity: PostgreSQL refuses their UPDATE and DELETE. They are taken out of the
/// publication, by an event trigger in the transaction that took the key away, or by looking. docs/adr/0010. Blocking.
#include <string>

#include "base/log.h"
#include "platform/postgres/connection.h"

namespace verbund::feed {

/// Its function has the same name, in this schema.
inline constexpr const char* kKeyTriggerSchema = "verbund_feed";
std::string key_trigger_name(const std::string& publication);

/// What a superuser runs to have the event trigger; may be repeated.
std::string key_trigger_sql(const std::string& publication);

/// An event trigger works that is as `key_trigger_sql` makes it.
Result<bool> has_key_trigger(postgres::Connection& source, const std::string& publication);

/// Makes it when it is missing or an older one and the role is a superuser; one that was disabled stays so. False: somebody
/// has to look (`release_keyless`). What can't be made is logged.
Result<bool> keep_key_trigger(postgres::Connection& source, const std::string& publication, Log& log);

/// Takes those tables out of the publication. Cheap when there are none. A table that somebody is changing just now stays
/// for the next time.
Status release_keyless(postgres::Connection& source, const std::string& publication, Log& log);

}  // namespace verbund::feed
