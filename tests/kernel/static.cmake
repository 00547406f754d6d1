# A static program for a guest: the compiler's own C library, everything else from RIG_ROOT (unpacked Debian packages).
# For the kernel rig alone: glibc's getaddrinfo wants the very same glibc at run time, so nobody is given these.
set(RIG_ARCH "" CACHE STRING "aarch64 or x86_64")
set(RIG_TOOLS "" CACHE STRING "Prefix of the compiler's name")
set(RIG_TRIPLET "" CACHE STRING "Debian's name of the architecture's folders")
set(RIG_ROOT "" CACHE PATH "Where the -dev packages are unpacked")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES RIG_ARCH RIG_TOOLS RIG_TRIPLET RIG_ROOT)

set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR ${RIG_ARCH})
set(CMAKE_C_COMPILER ${RIG_TOOLS}gcc)
set(CMAKE_C_FLAGS_INIT "-isystem ${RIG_ROOT}/usr/include/${RIG_TRIPLET}")
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static -L${RIG_ROOT}/usr/lib/${RIG_TRIPLET}")
set(CMAKE_LIBRARY_ARCHITECTURE ${RIG_TRIPLET})
set(CMAKE_FIND_LIBRARY_SUFFIXES .a)
set(OPENSSL_USE_STATIC_LIBS TRUE)
set(CMAKE_DISABLE_FIND_PACKAGE_eclipse-paho-mqtt-c TRUE) # it names the shared one
set(CMAKE_FIND_ROOT_PATH ${RIG_ROOT})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${RIG_ROOT})
set(ENV{PKG_CONFIG_LIBDIR} ${RIG_ROOT}/usr/lib/${RIG_TRIPLET}/pkgconfig)
