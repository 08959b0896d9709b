#pragma once
/// The SQL that list and read share. This folder only. Only names and expressions of the configuration are put into
/// texts, names quoted; values are parameters.
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "records/record_types.h"

namespace verbund::records {

std::string table_of(const RecordType& type);
/// ' COLLATE "de-x-icu"', or nothing.
std::string collate(const RecordType& type);
/// SQL text of the record's id, as join_key makes it (a key of one column is escaped, too).
std::string key_expression(const RecordType& type);
/// `expression` in lower case, one spelling for umlauts and accents: ä, ae and a are the same, ß is ss.
std::string folded(std::string_view expression);
/// (SELECT …) whose columns are g (branch), l (label), k1, k2, … (key), f (what a search looks in, plain and folded).
std::string listed(const RecordType& type, bool searched);
std::string key_columns(const RecordType& type);  ///< "k1, k2"

/// A read-only snapshot in which no statement runs longer than kReadTimeout, with dates in ISO form.
Result<postgres::Connection::Transaction> begin_reading(postgres::Connection& source);

/// PostgreSQL could not read a parameter (class 22: no uuid, out of range, not UTF-8).
bool unreadable_value(const postgres::Connection& source);

}  // namespace verbund::records
