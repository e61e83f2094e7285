# Run by CPack in the tree that becomes the package: what Debian wants otherwise than `cmake --install` leaves it.
file(MAKE_DIRECTORY ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/usr/share/lintian/overrides)
set(doc ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/usr/share/doc/quern)
file(REMOVE ${doc}/LICENSE)  # copyright names Debian's copy
file(COPY_FILE ${CMAKE_CURRENT_LIST_DIR}/copyright ${doc}/copyright)
file(COPY_FILE ${CMAKE_CURRENT_LIST_DIR}/lintian-overrides ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/usr/share/lintian/overrides/quern)
if(EXISTS ${doc}/html/index.html)
  file(MAKE_DIRECTORY ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/usr/share/doc-base)
  file(COPY_FILE ${CMAKE_CURRENT_LIST_DIR}/doc-base ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/usr/share/doc-base/quern.quern)
endif()
set(PROJECT_VERSION ${CPACK_PACKAGE_VERSION})
configure_file(${CMAKE_CURRENT_LIST_DIR}/changelog.in ${doc}/changelog.Debian @ONLY)
execute_process(COMMAND gzip -9nf ${doc}/changelog ${doc}/changelog.Debian COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND chmod -R u=rwX,go=rX ${CPACK_TEMPORARY_INSTALL_DIRECTORY} COMMAND_ERROR_IS_FATAL ANY)
