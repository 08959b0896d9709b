#pragma once
// What the application has changed, as uploads. Of this folder alone. One thread, within the caller's transaction.
#include <map>
#include <string>

#include "platform/sqlite/database.h"
#include "sync/model/messages.h"

namespace verbund::sync::device {

struct Known {
  DeviceCursor cursor;
  TableLayout layout;
};
Result<std::map<std::string, Known>> known_subscriptions(sqlite::Database& database);

/// All that the application has changed since the last time becomes an upload: from here on its bytes stay the same, however often it is sent. `request` gets it;
/// nothing when there is nothing.
Status freeze_changes(sqlite::Database& database, SyncRequest& request);

}  // namespace verbund::sync::device
