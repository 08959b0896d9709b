# verbund_embed_sql(TARGET OWNER)
#
# Carries the migrations sql/NNN_name.sql of the calling folder inside the program: generates `OWNER/migrations.inc`,
# which defines verbund::OWNER::kMigrations, an array that converts to std::span<const postgres::Migration>.
# OWNER is the folder's name below src/ and the schema its migrations create. Numbers start at 001 and have no gap.
#
# The same file, run as a script (cmake -P) at build time, writes the header.

if(NOT CMAKE_SCRIPT_MODE_FILE)
  set(VERBUND_SQL_SCRIPT ${CMAKE_CURRENT_LIST_FILE})

  function(verbund_embed_sql target owner)
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/sql/*.sql)
    set(header ${CMAKE_BINARY_DIR}/generated/${owner}/migrations.inc)
    add_custom_command(
      OUTPUT ${header}
      COMMAND ${CMAKE_COMMAND} -DOWNER=${owner} -DFOLDER=${CMAKE_CURRENT_SOURCE_DIR}/sql -DHEADER=${header}
              -P ${VERBUND_SQL_SCRIPT}
      DEPENDS ${sources} ${VERBUND_SQL_SCRIPT}
      COMMENT "Embedding migrations of ${owner}")
    add_custom_target(${target}_migrations DEPENDS ${header})
    add_dependencies(${target} ${target}_migrations)
  endfunction()
  return()
endif()

file(GLOB sources ${FOLDER}/*.sql)
list(SORT sources COMPARE NATURAL)
set(rows "")
set(expected 1)
foreach(source ${sources})
  get_filename_component(stem ${source} NAME_WE)
  if(NOT stem MATCHES "^([0-9][0-9][0-9])_([a-z0-9_]+)$")
    message(FATAL_ERROR "${source}: a migration is called NNN_name.sql")
  endif()
  set(name ${CMAKE_MATCH_2})
  string(REGEX REPLACE "^0+" "" number ${CMAKE_MATCH_1})
  if(NOT number EQUAL expected)
    message(FATAL_ERROR "${source}: number ${number} where ${expected} is next")
  endif()
  math(EXPR expected "${expected} + 1")
  file(READ ${source} text)
  string(APPEND rows "    {${number}, \"${name}\", R\"verbund_sql(${text})verbund_sql\"},\n")
endforeach()
if(rows STREQUAL "")
  message(FATAL_ERROR "${FOLDER}: no migration NNN_name.sql")
endif()
file(WRITE ${HEADER} "#pragma once
// Generated from ${OWNER}/sql by verbund_embed_sql; edit the .sql files.
#include \"platform/postgres/migrations.h\"

namespace verbund::${OWNER} {

inline constexpr postgres::Migration kMigrations[] = {
${rows}};

}  // namespace verbund::${OWNER}
")
