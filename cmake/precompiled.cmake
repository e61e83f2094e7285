# Precompiled headers: what nearly every file includes, parsed once per kind of target instead of once per file. Sources still include
# all they use: the clang preset builds without (QUERN_PCH=OFF), and there a forgotten #include is an error.
option(QUERN_PCH "Precompile the headers that most files include" ON)

set(QUERN_COMMON_HEADERS <algorithm> <array> <atomic> <bit> <chrono> <cmath> <cstdint> <cstring> <filesystem> <functional> <map> <memory>
  <mutex> <optional> <span> <string> <string_view> <thread> <utility> <variant> <vector> <fmt/format.h> <tl/expected.hpp>)

# quern_precompile(target kind): kind is `library`, `test` or `app`; the first target of a kind precompiles for those after it.
function(quern_precompile target kind)
  if(NOT QUERN_PCH)
    return()
  endif()
  get_property(first GLOBAL PROPERTY quern_pch_${kind})
  if(first)
    target_precompile_headers(${target} REUSE_FROM ${first})
    return()
  endif()
  set(headers ${QUERN_COMMON_HEADERS})
  if(kind STREQUAL "test")
    list(APPEND headers <gtest/gtest.h> <gmock/gmock.h>)
  endif()
  target_precompile_headers(${target} PRIVATE ${headers})
  set_property(GLOBAL PROPERTY quern_pch_${kind} ${target})
endfunction()
