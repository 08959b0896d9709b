#pragma once
/// Reads the stream ahead while the capture thread writes a batch: decoding on the source and writing in the mid-tier
/// overlap, and a batch is what came meanwhile, not what a socket's buffer holds.
/// Threads: `interrupt` from any; all else from the capture thread. A thread of its own owns the stream from `start` on.
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "platform/postgres/replication.h"

namespace verbund::feed {

class StreamReader {
 public:
  using Event = postgres::ReplicationStream::Event;
  /// Bytes held at most, but for one message: as many may be in the hands of the capture thread.
  static constexpr std::size_t kMaxBytes = 4 * 1024 * 1024;

  /// `stream` outlives the reader.
  explicit StreamReader(postgres::ReplicationStream& stream) : stream_(stream) {}
  StreamReader(const StreamReader&) = delete;
  StreamReader& operator=(const StreamReader&) = delete;
  ~StreamReader();

  /// The stream has been started.
  void start();
  /// As ReplicationStream::next; an error of the stream comes after all that was read before it.
  Result<Event> next(nanoseconds wait);
  /// True when a message can be had without waiting.
  bool ready();
  /// As ReplicationStream::confirm; returns before it is sent. Its failure is an error of `next`.
  void confirm(Lsn flushed);
  /// Makes a waiting or the next `next` return kCancelled.
  void interrupt();

 private:
  struct Message {
    Event event;  // its data stands in the block's bytes
    std::size_t begin = 0;
  };
  struct Block {
    std::string bytes;
    std::vector<Message> messages;
  };

  void read();
  Status take(Result<Event> event);
  Status confirm_wanted();
  Event front();
  [[nodiscard]] std::size_t held() const { return back_.bytes.size() + back_.messages.size() * sizeof(Message); }

  postgres::ReplicationStream& stream_;
  std::thread reading_;
  Block front_;  // of the capture thread
  std::size_t at_ = 0;

  std::mutex mutex_;  // what follows
  std::condition_variable filled_;
  std::condition_variable emptied_;
  Block back_;
  std::optional<Error> failure_;
  std::optional<Lsn> wanted_;  // to confirm
  bool interrupted_ = false;
  bool stopping_ = false;
  bool waiting_ = false;  // the capture thread, for input
};

}  // namespace verbund::feed
