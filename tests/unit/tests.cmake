# Every unit test and the libraries it needs.
jp_unit_test(base jp_base)
jp_unit_test(carbon jp_carbon)
jp_unit_test(run_window jp_measure)
jp_unit_test(integrator jp_measure m)
jp_unit_test(hot jp_keep)
jp_unit_test(slots jp_keep)
