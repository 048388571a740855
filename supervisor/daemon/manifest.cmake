# The manifest and device config parsers, a library of their own so that their tests and fuzzers need nothing of the daemon.
set(manifest_folder ${CMAKE_CURRENT_LIST_DIR})
add_library(modelguard_manifest STATIC
  ${manifest_folder}/device_config.cpp
  ${manifest_folder}/device_limits.cpp
  ${manifest_folder}/findings.cpp
  ${manifest_folder}/manifest.cpp
  ${manifest_folder}/man_page.cpp
  ${manifest_folder}/manifest_checks.cpp
  ${manifest_folder}/manifest_schema.cpp
  ${manifest_folder}/params_from_yaml.cpp
  ${manifest_folder}/plain_text.cpp
  ${manifest_folder}/reboot_window.cpp
  ${manifest_folder}/yaml_tree.cpp)
add_library(modelguard::manifest ALIAS modelguard_manifest)
target_link_libraries(modelguard_manifest
  PUBLIC modelguard::options modelguard::base modelguard::core modelguard::sys modelguard::checks modelguard::rollback
  PRIVATE nlohmann_json::nlohmann_json yaml-cpp)
