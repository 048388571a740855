# Documents that the daemon prints from its own tables: the JSON schema of the manifest and two man pages. Made with every build, so
# that they cannot say something else than the program.
set(documents ${PROJECT_BINARY_DIR}/documents)
file(MAKE_DIRECTORY ${documents})
function(modelguard_document name)
  add_custom_command(OUTPUT ${documents}/${name}
    COMMAND modelguardd ${ARGN} > ${documents}/${name}.new
    COMMAND ${CMAKE_COMMAND} -E rename ${documents}/${name}.new ${documents}/${name}
    DEPENDS modelguardd ${PROJECT_SOURCE_DIR}/packaging/man/modelguard-checks.7.in ${PROJECT_SOURCE_DIR}/packaging/man/modelguard-model.5.in
    VERBATIM)
endfunction()
modelguard_document(modelguard-manifest.schema.json --schema)
modelguard_document(modelguard-checks.7 --man ${PROJECT_SOURCE_DIR}/packaging/man/modelguard-checks.7.in)
modelguard_document(modelguard-model.5 --man ${PROJECT_SOURCE_DIR}/packaging/man/modelguard-model.5.in)
add_custom_target(documents ALL
  DEPENDS ${documents}/modelguard-manifest.schema.json ${documents}/modelguard-checks.7 ${documents}/modelguard-model.5)

install(FILES ${documents}/modelguard-manifest.schema.json DESTINATION ${CMAKE_INSTALL_DATADIR}/modelguard)
install(FILES packaging/openapi.yaml DESTINATION ${CMAKE_INSTALL_DATADIR}/modelguard)
install(FILES packaging/man/modelguard.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${documents}/modelguard-model.5 DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)
install(FILES ${documents}/modelguard-checks.7 DESTINATION ${CMAKE_INSTALL_MANDIR}/man7)
install(FILES packaging/man/modelguardd.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8)
