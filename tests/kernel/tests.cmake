# Debian's own kernels in QEMU: ./dev test --kernel makes what they boot (build-kernel/) and runs these; so does CI=true.
set(JOULEPOST_KERNEL "${CMAKE_SOURCE_DIR}/build-kernel" CACHE PATH "Where tests/kernel/build.py made its kernels")

# jp_kernel_test(NAME ARCH...): tests/kernel/test_NAME.py in a guest of each architecture.
function(jp_kernel_test name)
  foreach(arch ${ARGN})
    add_test(NAME kernel.${name}.${arch}
             COMMAND ${JP_PYTHON} -B ${CMAKE_CURRENT_SOURCE_DIR}/kernel/test_${name}.py)
    set_tests_properties(kernel.${name}.${arch} PROPERTIES TIMEOUT 1200 LABELS "long;kernel" FIXTURES_REQUIRED kernel
                         ENVIRONMENT "KERNEL_ARCH=${arch};KERNEL_HOME=${JOULEPOST_KERNEL}")
  endforeach()
endfunction()

jp_kernel_test(guest arm64 amd64)
jp_kernel_test(rapl amd64) # arm64 has no powercap: CONFIG_POWERCAP is not set in Debian's
jp_kernel_test(late arm64 amd64)
jp_kernel_test(clocks arm64 amd64)
jp_kernel_test(service amd64)
set_tests_properties(kernel.service.amd64 PROPERTIES TIMEOUT 1200) # four boots of a whole system
jp_kernel_test(power_supply arm64 amd64)
jp_kernel_test(ina3221_hwmon arm64 amd64)
jp_kernel_test(ina3221_i2c arm64 amd64)
jp_kernel_test(hwmon_power arm64 amd64)
jp_kernel_test(energy arm64 amd64)
jp_kernel_test(gpio arm64 amd64)

# What they proved, as a table, when all have ended.
add_test(NAME kernel.table COMMAND ${JP_PYTHON} -B ${CMAKE_CURRENT_SOURCE_DIR}/kernel/table.py ${JOULEPOST_KERNEL})
set_tests_properties(kernel.table PROPERTIES LABELS long FIXTURES_CLEANUP kernel)
