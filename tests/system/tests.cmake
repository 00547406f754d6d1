# The true program against a private broker on loopback; test_rig.py judges the judges.
jp_system_test(rig TIMEOUT 120)
jp_system_test(format)
