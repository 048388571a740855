# The HTTP server is a library of its own: its tests need nothing of the daemon's wiring.
add_library(modelguard_http_server STATIC
  ${CMAKE_CURRENT_LIST_DIR}/http_exchange.cpp
  ${CMAKE_CURRENT_LIST_DIR}/http_listener.cpp
  ${CMAKE_CURRENT_LIST_DIR}/http_path.cpp
  ${CMAKE_CURRENT_LIST_DIR}/http_server.cpp)
add_library(modelguard::http_server ALIAS modelguard_http_server)
target_link_libraries(modelguard_http_server
  PUBLIC modelguard::options modelguard::base modelguard::sys
  PRIVATE modelguard::api PkgConfig::MICROHTTPD)
