# quern_layer(name LINK libs...): src/<name>/**.cpp becomes quern_<name>; **_test.cpp becomes quern_<name>_test; each layer sees
# the headers of all, but links only the layers declared before it (tests/layers_test checks the includes). READS_FOREIGN_BYTES: libFuzzer
# watches its branches; in arithmetic, watching costs time and finds nothing. COMPUTES_LITTLE: not optimised under sanitizers, where such a
# layer takes longer to compile than its tests take to run.
set(QUERN_LAYERS "" CACHE INTERNAL "")

function(quern_layer name)
  cmake_parse_arguments(arg "READS_FOREIGN_BYTES;COMPUTES_LITTLE" "" "LINK;TEST_LINK;TEST_LABELS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cpp)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cpp$")
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  set(scope PUBLIC)
  if(sources)
    add_library(quern_${name} STATIC ${sources})
  else()
    add_library(quern_${name} INTERFACE)  # headers only
    set(scope INTERFACE)
  endif()
  target_link_libraries(quern_${name} ${scope} quern_options ${arg_LINK})
  if(QUERN_FUZZ AND arg_READS_FOREIGN_BYTES)
    target_compile_options(quern_${name} PRIVATE -fsanitize=fuzzer-no-link)
  endif()
  if(QUERN_SANITIZE AND arg_COMPUTES_LITTLE)
    target_compile_options(quern_${name} PRIVATE -O0)
  endif()
  if(sources)
    precompile_layer(quern_${name})
  endif()
  foreach(lower ${QUERN_LAYERS})
    target_link_libraries(quern_${name} ${scope} quern_${lower})
  endforeach()
  set(QUERN_LAYERS ${name} ${QUERN_LAYERS} CACHE INTERNAL "")
  if(QUERN_TESTS AND tests)
    quern_test(quern_${name}_test SOURCES ${tests} LINK quern_${name} ${arg_TEST_LINK} LABELS ${arg_TEST_LABELS})
  endif()
endfunction()

# A precompiled header of what most files include: half the time of compiling them. A file includes what it uses all the same (tests/layers_test.py
# looks), so that it compiles without, too (CMAKE_DISABLE_PRECOMPILE_HEADERS). Of the layers with the same flags the first one has it.
function(precompile_layer target)
  get_target_property(flags ${target} COMPILE_OPTIONS)
  string(MD5 flags "${flags}")
  get_property(first GLOBAL PROPERTY quern_precompiled_${flags})
  if(first)
    target_precompile_headers(${target} REUSE_FROM ${first})
  else()
    set_property(GLOBAL PROPERTY quern_precompiled_${flags} ${target})
    target_precompile_headers(${target} PRIVATE <algorithm> <array> <chrono> <cmath> <cstring> <deque> <filesystem> <functional> <map> <memory>
                              <mutex> <optional> <set> <span> <string> <thread> <unordered_map> <variant> <vector> <fmt/format.h>
                              <tl/expected.hpp>)
  endif()
  target_compile_options(${target} PRIVATE ${QUERN_PRECOMPILED_HEADER_OPTIONS})
endfunction()

# The tests of some files; every TEST in them is a ctest case. QUERN_REPO lets tests find fixtures and models. The label `threads` has
# them run under the thread sanitizer as well. A suite whose name begins with Long starts first and asks QUERN_LONG_TESTS how much to
# do: under sanitizers (0) the shape of the test stays, the length does not. ./check runs the whole length in the release build. Files with
# such a suite are a program of their own, so that it need not build the others there, and has no label.
if(QUERN_TESTS)
  add_custom_target(threads_tests)
  add_custom_target(long_tests)
endif()
function(quern_test target)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK;LABELS" ${ARGN})
  set(long_sources)
  foreach(source ${arg_SOURCES})
    file(STRINGS ${source} suites REGEX "^(TEST|TEST_F|TEST_P|INSTANTIATE_TEST_SUITE_P)\\(Long")
    if(suites)
      list(APPEND long_sources ${source})
      list(REMOVE_ITEM arg_SOURCES ${source})
    endif()
  endforeach()
  if(arg_SOURCES)
    test_program(${target} SOURCES ${arg_SOURCES} LINK ${arg_LINK} LABELS ${arg_LABELS})
  endif()
  if(long_sources)
    string(REGEX REPLACE "_test$" "_long_test" long_target ${target})
    test_program(${long_target} SOURCES ${long_sources} LINK ${arg_LINK})
    add_dependencies(long_tests ${long_target})
  endif()
endfunction()

function(test_program target)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK;LABELS" ${ARGN})
  set(long_tests 1)
  if(QUERN_SANITIZE)
    set(long_tests 0)
  endif()
  add_executable(${target} ${arg_SOURCES})
  target_link_libraries(${target} PRIVATE ${arg_LINK} GTest::gmock GTest::gtest_main)
  target_compile_definitions(${target} PRIVATE QUERN_REPO="${PROJECT_SOURCE_DIR}" QUERN_BUILD="${CMAKE_BINARY_DIR}"
                                               QUERN_LONG_TESTS=${long_tests})
  if(target STREQUAL quern_base_test)  # the first one; the others have the same flags
    target_precompile_headers(${target} PRIVATE <gmock/gmock.h> <gtest/gtest.h> <fmt/format.h>)
  else()
    target_precompile_headers(${target} REUSE_FROM quern_base_test)
  endif()
  target_compile_options(${target} PRIVATE ${QUERN_PRECOMPILED_HEADER_OPTIONS})
  if(QUERN_SANITIZE)  # only what a test calls has to be fast; this compiles in two thirds of the time
    target_compile_options(${target} PRIVATE -O0)
  elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
    target_compile_options(${target} PRIVATE -O1)
  endif()
  foreach(label ${arg_LABELS})
    add_dependencies(${label}_tests ${target})
  endforeach()
  include(GoogleTest)
  gtest_discover_tests(${target} TEST_FILTER "-Long*:*/Long*" DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
                       PROPERTIES TIMEOUT 600 LABELS "${arg_LABELS}")
  gtest_discover_tests(${target} TEST_FILTER "Long*:*/Long*" DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
                       PROPERTIES TIMEOUT 600 COST 100 LABELS "${arg_LABELS}")
endfunction()
