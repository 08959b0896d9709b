#pragma once
/// Who made a change: asked by the relay, answered by src/node/adapters from sessions and work locks.
#include <string>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"

namespace verbund::history {

struct Author {
  enum class How : char {
    kUnknown = 'U',  ///< nobody said so and nobody held the record's lock: a program of its own, or the node was down
    kMessage = 'M',  ///< the transaction carried its session (docs/formats/journal.md, `verbund.by`)
    kLock = 'L',     ///< the session held the record's work lock at the commit
  } how = How::kUnknown;
  SessionId session;
  std::string workstation, user;  ///< empty: nothing is known of the session any more
  friend bool operator==(const Author&, const Author&) = default;
};

class Authorship {
 public:
  virtual ~Authorship() = default;
  /// Who changed `record` in the transaction with this last csn. Asked soon after the commit, but also after a restart, again
  /// after a failure, and for many records of one transaction. From the relay's thread; may block.
  /// Errors: those of the database; then the versions wait.
  virtual Result<Author> author(Csn transaction, SessionId by, WallTime committed, const RecordKey& record) = 0;
  /// Versions up to here are stored with their authors: nobody asks for them any more.
  virtual void stored(Csn upto) = 0;
};

}  // namespace verbund::history
