# The true program against a private broker on loopback; test_rig.py judges the judges.
jp_system_test(rig TIMEOUT 120)
jp_system_test(format)
if(JOULEPOST_MQTT)
  add_executable(link_probe ${CMAKE_CURRENT_SOURCE_DIR}/system/link_probe.c)
  target_link_libraries(link_probe PRIVATE jp_send)
  jp_system_test(link TIMEOUT 240)
endif()
