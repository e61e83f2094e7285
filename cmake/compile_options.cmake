# Flags every target gets: warnings are errors; sanitizers where asked for. No -march: kernels pick their instructions at run time.
add_library(quern_options INTERFACE)
target_compile_options(quern_options INTERFACE
  -Wall -Wextra -Wpedantic -Werror -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Wcast-align -Woverloaded-virtual
  -Wconversion -Wno-sign-conversion -Wdouble-promotion -Wimplicit-fallthrough -Wno-missing-field-initializers -ffp-contract=off)
# g++ 12 sees overlapping copies in operator+ of strings where there are none (its bug 105651), and behind a precompiled header,
# where it forgets what a system header is, copies out of bounds and overflows too.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(quern_options INTERFACE -Wno-restrict)
  set(QUERN_PRECOMPILED_HEADER_OPTIONS -Wno-array-bounds -Wno-stringop-overflow)
endif()
# libstdc++ 12's own std::stable_sort uses what C++17 deprecates; clang says so.
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(quern_options INTERFACE -Wno-deprecated-declarations)
endif()
target_include_directories(quern_options INTERFACE ${PROJECT_SOURCE_DIR}/src)
if(QUERN_SANITIZE)
  target_compile_options(quern_options INTERFACE -fsanitize=${QUERN_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(quern_options INTERFACE -fsanitize=${QUERN_SANITIZE})
  find_program(LLD ld.lld)
  if(LLD AND CMAKE_CXX_COMPILER_ID STREQUAL "Clang")  # some forty programs with the sanitizers' runtimes in each
    target_link_options(quern_options INTERFACE -fuse-ld=lld)
  endif()
endif()
if(QUERN_STATIC)
  target_link_options(quern_options INTERFACE -static)
endif()
# Precompiled headers that ccache can tell apart by what they hold, not by when they were made.
target_compile_options(quern_options INTERFACE $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>
                                               "$<$<CXX_COMPILER_ID:Clang>:SHELL:-Xclang -fno-pch-timestamp>")
