# Debian packages, one per field; docs/dependencies.md says why each.
if(QUERN_STATIC)
  set(CMAKE_FIND_LIBRARY_SUFFIXES .a)
endif()
find_package(Threads REQUIRED)
find_package(nlohmann_json REQUIRED)   # JSON text (behind base/json)
find_package(fmt REQUIRED)             # formatting
find_package(CLI11 REQUIRED)           # command line
find_package(tl-expected REQUIRED)     # Result<T>
find_package(Eigen3 3.4 REQUIRED NO_MODULE)  # Cholesky factors and products of the quantiser's error feedback

find_path(PCRE2_INCLUDE pcre2.h REQUIRED)
find_library(PCRE2_LIBRARY pcre2-8 REQUIRED)       # pre-tokenizer
find_path(UTF8PROC_INCLUDE utf8proc.h REQUIRED)
find_library(UTF8PROC_LIBRARY utf8proc REQUIRED)   # NFC
find_path(YAML_CPP_INCLUDE yaml-cpp/yaml.h REQUIRED)
find_library(YAML_CPP_LIBRARY yaml-cpp REQUIRED)   # task files
find_path(SQLITE_INCLUDE sqlite3.h REQUIRED)
find_library(SQLITE_LIBRARY sqlite3 REQUIRED)      # journals, the agent's memory, full-text search
find_path(SECCOMP_INCLUDE seccomp.h REQUIRED)
find_library(SECCOMP_LIBRARY seccomp REQUIRED)     # the sandbox's system call filter
find_path(ZSTD_INCLUDE zstd.h REQUIRED)
find_library(ZSTD_LIBRARY zstd REQUIRED)           # states of conversations kept on disk
foreach(lib PCRE2 UTF8PROC YAML_CPP SQLITE SECCOMP ZSTD)
  add_library(dep_${lib} INTERFACE)
  target_include_directories(dep_${lib} SYSTEM INTERFACE ${${lib}_INCLUDE})
  target_link_libraries(dep_${lib} INTERFACE ${${lib}_LIBRARY})
endforeach()
find_path(EDIT_INCLUDE histedit.h REQUIRED)
find_library(EDIT_LIBRARY edit REQUIRED)           # line editing
add_library(dep_EDIT INTERFACE)
target_include_directories(dep_EDIT SYSTEM INTERFACE ${EDIT_INCLUDE})
target_link_libraries(dep_EDIT INTERFACE ${EDIT_LIBRARY})
if(QUERN_STATIC)  # what the shared library brings along by itself
  find_library(TINFO_LIBRARY tinfo REQUIRED)
  find_library(BSD_LIBRARY bsd REQUIRED)
  find_library(MD_LIBRARY md REQUIRED)
  target_link_libraries(dep_EDIT INTERFACE ${TINFO_LIBRARY} ${BSD_LIBRARY} ${MD_LIBRARY})
  set(OPENSSL_USE_STATIC_LIBS ON)
endif()
find_package(OpenSSL REQUIRED)                       # TLS, hashes
find_path(BOOST_INCLUDE boost/beast.hpp REQUIRED)    # HTTP: Asio and Beast, headers only
add_library(dep_BOOST INTERFACE)
target_include_directories(dep_BOOST SYSTEM INTERFACE ${BOOST_INCLUDE})
add_library(dep_FMT INTERFACE)
target_link_libraries(dep_FMT INTERFACE $<IF:$<BOOL:${QUERN_STATIC}>,fmt::fmt-header-only,fmt::fmt>)  # Debian has no static fmt
target_compile_definitions(dep_UTF8PROC INTERFACE UTF8PROC_STATIC)

if(QUERN_TESTS)
  find_package(GTest REQUIRED)
endif()
if(QUERN_BENCH)
  find_package(benchmark REQUIRED)
endif()
