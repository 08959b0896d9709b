# Compiler flags, ccache, mold, sanitizers: the same for every target.
find_program(CCACHE ccache)
if(CCACHE)
  # A precompiled header changes its time stamp on every clean build; ccache must not read that as a change.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} ${CCACHE})
endif()
find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()

# PCHs and debug paths must not carry the checkout's path, or no two checkouts share a ccache entry.
add_compile_options(-Wall -Wextra -Wconversion -Werror -ffile-prefix-map=${CMAKE_SOURCE_DIR}=.)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 reports maybe-uninitialized and dangling storage inside std::expected and std::optional at -O2.
  add_compile_options(-Wno-maybe-uninitialized -Wno-restrict -fpch-preprocess)
elseif(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # The stable sort of libstdc++ 12 calls a function that the same library calls deprecated.
  add_compile_options(-Wno-deprecated-declarations)
endif()
string(REPLACE "-g" "-g1" CMAKE_CXX_FLAGS_RELWITHDEBINFO "${CMAKE_CXX_FLAGS_RELWITHDEBINFO}")
string(REPLACE "-DNDEBUG" "" CMAKE_CXX_FLAGS_RELWITHDEBINFO "${CMAKE_CXX_FLAGS_RELWITHDEBINFO}")

if(VERBUND_SANITIZE)
  add_compile_options(-fsanitize=${VERBUND_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${VERBUND_SANITIZE})
endif()
if(VERBUND_COVERAGE)
  add_compile_options(--coverage)
  add_link_options(--coverage)
endif()
if(VERBUND_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
endif()
