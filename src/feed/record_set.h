#pragma once
/// What happened to records in one transaction, conflated: the algebra of README.md. Pure; one thread.
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "feed/feed.h"

namespace verbund::feed {

/// Collects the changes of one transaction in their order; `finish` says what they come to, each key once:
/// a key that exists after but not before is inserted, before but not after deleted, both updated, neither nothing.
/// A record whose key changed is one update with `was`, as long as nobody else took the old key.
/// Beyond `limit` records only counts per type are kept: then `bulk` of the event is filled instead of `records`.
class RecordSet {
 public:
  explicit RecordSet(std::size_t limit) : limit_(limit) {}

  /// `table` is empty where none is named (announced changes).
  void inserted(const RecordKey& key, const std::string& table);
  void updated(const RecordKey& key, const std::string& table) { touch(key, table); }
  void deleted(const RecordKey& key, const std::string& table);
  void renamed(const RecordKey& from, const RecordKey& to, const std::string& table);
  /// A row of a child table changed. A record that this transaction has deleted stays deleted.
  void touched(const RecordKey& key, const std::string& table) { touch(key, table); }
  /// All records of the type are gone; what comes later counts anew.
  void truncated(const std::string& type);
  /// Records of a type whose keys are not known (a child table was truncated).
  void counted(const std::string& type, std::uint64_t count);

  [[nodiscard]] bool empty() const { return entries_.empty() && bulk_.empty() && truncated_.empty(); }
  [[nodiscard]] bool collapsed() const { return collapsed_; }
  /// Fills records, bulk and truncated; the set is empty afterwards.
  void finish(TransactionEvent& event);

 private:
  struct Entry {
    std::optional<RecordKey> origin;  ///< key before the transaction; none: made in it
    std::optional<RecordKey> now;     ///< key at this point; none: deleted
    std::set<std::string> tables;
  };
  Entry& fresh(std::optional<RecordKey> origin, std::optional<RecordKey> now);
  Entry* find(const RecordKey& key);
  static void note(Entry& entry, const std::string& table);
  void touch(const RecordKey& key, const std::string& table);
  void count(const RecordKey& key);
  void collapse_if_large();
  [[nodiscard]] std::vector<RecordEvent> outcome() const;

  std::size_t limit_;
  bool collapsed_ = false;
  std::vector<std::unique_ptr<Entry>> entries_;           // in order of first mention; stable addresses
  std::unordered_map<RecordKey, Entry*> by_key_;          // live key, else former key of a renamed or deleted one
  std::unordered_map<RecordKey, Entry*> deleted_;         // origin → entry, of those deleted
  std::map<std::string, std::uint64_t> bulk_;
  RecordKey last_counted_;                                // runs of rows of one record count once
  std::vector<std::string> truncated_;
};

}  // namespace verbund::feed
