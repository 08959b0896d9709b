#include "base/ids.h"
#include "platform/postgres/connection.h"
#include "platform/postgres/libpq.h"

namespace verbund::postgres {

Rows::Rows(pg_result* result) : result_(result) {}
Rows::Rows(Rows&& other) noexcept : result_(std::exchange(other.result_, nullptr)) {}
Rows& Rows::operator=(Rows&& other) noexcept {
  std::swap(result_, other.result_);
  return *this;
}
Rows::~Rows() { PQclear(result_); }

int Rows::size() const { return PQntuples(result_); }
int Rows::columns() const { return PQnfields(result_); }
bool Rows::null(int row, int column) const { return PQgetisnull(result_, row, column) != 0; }

std::string_view Rows::text(int row, int column) const {
  const char* value = PQgetvalue(result_, row, column);
  if (value == nullptr) return {};
  return {value, static_cast<std::size_t>(PQgetlength(result_, row, column))};
}

std::string_view Rows::column_name(int column) const {
  const char* name = PQfname(result_, column);
  return name != nullptr ? name : std::string_view{};
}

std::uint32_t Rows::column_type(int column) const { return PQftype(result_, column); }

std::uint64_t Rows::affected() const { return parse_u64(PQcmdTuples(result_)).value_or(0); }

}  // namespace verbund::postgres
