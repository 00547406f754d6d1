# Programs of `./dev bench`; nothing here is a test, as nothing timed is asserted.
add_executable(floor EXCLUDE_FROM_ALL ${CMAKE_CURRENT_SOURCE_DIR}/bench/floor.c)
target_compile_definitions(floor PRIVATE _GNU_SOURCE)
add_executable(idle_paho EXCLUDE_FROM_ALL ${CMAKE_CURRENT_SOURCE_DIR}/bench/idle_paho.c)
target_compile_definitions(idle_paho PRIVATE _GNU_SOURCE)
target_link_libraries(idle_paho PRIVATE paho-mqtt3cs)
