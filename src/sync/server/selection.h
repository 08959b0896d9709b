#pragma once
/// A filter bound to tables, as SQL over the shadow: the subscription's own table and those of its memberships. Values; pure.
///
/// Whoever selects a device's rows and whoever says that a row has come or gone take the same text from here.
#include <functional>

#include "sync/model/rules.h"
#include "sync/server/source_table.h"

namespace verbund::sync::server {

struct Selection {
  /// 0: the subscription's own table; the others: of memberships, each behind the one whose column it is about.
  struct Source {
    SourceTable table;
    std::size_t of = 0;        ///< the source whose column `outer` is
    std::string outer, inner;  ///< `outer` IN (SELECT `inner` FROM `table` …)
    Filter filter;             ///< without memberships
  };
  /// Compared with a parameter or the user.
  struct BucketColumn {
    std::size_t source = 0;
    std::string column;
  };
  std::vector<Source> sources;
  std::vector<BucketColumn> bucket_columns;  ///< in the filter's order: a bucket is a value for each

  [[nodiscard]] std::string shadow(std::size_t source) const;  ///< quoted
  /// Of one source: what is compared with a parameter or the user; what its memberships are about; everything that decides.
  [[nodiscard]] std::vector<std::string> own_bucket(std::size_t source) const;
  [[nodiscard]] std::vector<std::string> outer_columns(std::size_t source) const;
  [[nodiscard]] std::vector<std::string> deciding_columns(std::size_t source) const;

  /// Where the rows of a source are taken from.
  using From = std::function<std::string(std::size_t source)>;
  /// What makes row `alias` of the subscription's table one of the bucket's. SQL; true, false or NULL.
  [[nodiscard]] std::string condition(std::string_view alias, const std::vector<std::string>& bucket, const From& from) const;

  /// `SELECT DISTINCT bucket, key`: who has which rows, by way of `relation` instead of the shadow of `source`. `more`: a condition on t0, t1, … (t{source} is
  /// `relation`); empty: none.
  [[nodiscard]] std::string reached(std::size_t source, std::string_view relation, std::string_view more) const;
  /// `SELECT FROM …` that has a row when `bucket` and `key`, two expressions, are among what is reached.
  [[nodiscard]] std::string reaches(std::string_view bucket, std::string_view key, std::string_view more) const;

 private:
  [[nodiscard]] std::string constants(std::size_t source, std::string_view alias) const;
  [[nodiscard]] std::string within(std::size_t source, std::string_view alias, const std::vector<std::string>& bucket, const From& from) const;
  [[nodiscard]] std::string joined(std::size_t source, std::string_view relation) const;
};

const SourceTable::Column* find_column(const SourceTable& table, std::string_view name);

}  // namespace verbund::sync::server
