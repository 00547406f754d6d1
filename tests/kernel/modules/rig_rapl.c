// SPDX-License-Identifier: GPL-2.0
// Energy counters as intel_rapl_msr shows them, on the kernel's own powercap core, told what to count: package-0 {core,
// uncore, dram}, psys, package-1 {dram}, and a package-0 of intel-rapl-mmio that has package-0's counter.
//
// A counter holds 0..range_uj, goes on by its power or by a step a read, and can be made to fail, to show another's,
// and to go away and come back. parameters/tell takes one order, parameters/state shows all counters before they wrap.
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/module.h>
#ifdef CONFIG_POWERCAP // Debian has it for amd64 alone
#include <linux/powercap.h>

#define PJ_PER_UJ 1000000ULL

static unsigned long range_uj = 1000000000000UL;
module_param(range_uj, ulong, 0444);
static unsigned long max_power_uw = 1000000000UL; // 0: no constraint says one
module_param(max_power_uw, ulong, 0444);

static struct counter {
    const char *key, *name;
    int parent, type;
    struct powercap_zone zone;
    bool here;
    u64 pj; // since it began, and never wrapped
    ktime_t at;
    u64 power_uw, step_uj, reads;
    int error, shows; // shows: whose counter it has
} counters[] = {
    {"package-0", "package-0", -1}, {"core", "core", 0},
    {"uncore", "uncore", 0},        {"dram", "dram", 0},
    {"psys", "psys", -1},           {"package-1", "package-1", -1},
    {"dram-1", "dram", 5},          {"mmio", "package-0", -1, 1},
};

#define COUNT ((int)ARRAY_SIZE(counters))

static struct powercap_control_type *types[2];
static const char *const type_names[] = {"intel-rapl", "intel-rapl-mmio"};
static DEFINE_SPINLOCK(lock);

// Under the lock.
static void go_on(struct counter *counter)
{
    ktime_t now = ktime_get();

    counter->pj += counter->power_uw * (u64)ktime_us_delta(now, counter->at);
    counter->at = now;
}

static int get_energy_uj(struct powercap_zone *zone, u64 *uj)
{
    struct counter *counter = container_of(zone, struct counter, zone), *shown = &counters[counter->shows];
    u64 total_uj;

    spin_lock(&lock);
    counter->reads++;
    go_on(shown);
    shown->pj += shown->step_uj * PJ_PER_UJ;
    total_uj = div64_u64(shown->pj, PJ_PER_UJ);
    spin_unlock(&lock);
    div64_u64_rem(total_uj, range_uj + 1, uj);
    return -counter->error;
}

static int get_range(struct powercap_zone *zone, u64 *uj)
{
    *uj = range_uj;
    return 0;
}

static int get_enable(struct powercap_zone *zone, bool *on)
{
    *on = true;
    return 0;
}

static int release(struct powercap_zone *zone)
{
    return 0;
}

static const struct powercap_zone_ops zone_ops = {
    .get_max_energy_range_uj = get_range,
    .get_energy_uj = get_energy_uj,
    .get_enable = get_enable,
    .release = release,
};

static int get_limit(struct powercap_zone *zone, int id, u64 *value)
{
    *value = max_power_uw;
    return 0;
}

static int refuse(struct powercap_zone *zone, int id, u64 value)
{
    return -EACCES;
}

static const char *get_name(struct powercap_zone *zone, int id)
{
    return "long_term";
}

static const struct powercap_zone_constraint_ops constraint_ops = {
    .get_power_limit_uw = get_limit,
    .set_power_limit_uw = refuse,
    .get_time_window_us = get_limit,
    .set_time_window_us = refuse,
    .get_max_power_uw = get_limit,
    .get_name = get_name,
};

static void take_away(int which)
{
    for (int i = COUNT - 1; i >= 0; i--)
        if (counters[i].here && (which < 0 || i == which || counters[i].parent == which)) {
            counters[i].here = false;
            powercap_unregister_zone(types[counters[i].type], &counters[i].zone);
        }
}

static int bring(int which)
{
    for (int i = 0; i < COUNT; i++) {
        struct counter *counter = &counters[i];
        void *made;

        if (counter->here || (which >= 0 && i != which && counter->parent != which))
            continue;
        made = powercap_register_zone(&counter->zone, types[counter->type], counter->name,
                                      counter->parent < 0 ? NULL : &counters[counter->parent].zone, &zone_ops,
                                      max_power_uw > 0, &constraint_ops);
        if (IS_ERR(made))
            return PTR_ERR(made);
        counter->here = true;
    }
    return 0;
}

static int find(const char *key)
{
    for (int i = 0; i < COUNT; i++)
        if (!strcmp(key, counters[i].key))
            return i;
    return -EINVAL;
}

static int order(struct counter *counter, const char *verb, const char *value)
{
    u64 number = 0;
    int other = find(value), error = 0;

    if (kstrtoull(value, 10, &number) && (strcmp(verb, "show") || other < 0))
        return -EINVAL;
    spin_lock(&lock);
    go_on(counter);
    if (!strcmp(verb, "power"))
        counter->power_uw = number;
    else if (!strcmp(verb, "step"))
        counter->step_uj = number;
    else if (!strcmp(verb, "add"))
        counter->pj += number * PJ_PER_UJ;
    else if (!strcmp(verb, "set"))
        counter->pj = number * PJ_PER_UJ;
    else if (!strcmp(verb, "fail"))
        counter->error = (int)number;
    else if (!strcmp(verb, "show") && other >= 0)
        counter->shows = other;
    else
        error = -EINVAL;
    spin_unlock(&lock);
    return error;
}

// "power ZONE UW", "step ZONE UJ", "add ZONE UJ", "set ZONE UJ", "fail ZONE ERRNO", "show ZONE ZONE", "gone ZONE",
// "back ZONE"; ZONE is a key of the table above.
static int tell(const char *text, const struct kernel_param *param)
{
    char verb[16] = "", key[16] = "", value[24] = "";
    int which;

    if (sscanf(text, "%15s %15s %23s", verb, key, value) < 2)
        return -EINVAL;
    which = find(key);
    if (which < 0 || !types[0])
        return -EINVAL;
    if (!strcmp(verb, "back"))
        return bring(which);
    if (strcmp(verb, "gone"))
        return order(&counters[which], verb, value);
    take_away(which);
    return 0;
}

static int show_state(char *text, const struct kernel_param *param)
{
    int used = 0;

    for (int i = 0; i < COUNT; i++) {
        struct counter *counter = &counters[i];

        spin_lock(&lock);
        go_on(counter);
        used += scnprintf(text + used, PAGE_SIZE - used, "%s %llu %llu\n", counter->key,
                          div64_u64(counter->pj, PJ_PER_UJ), counter->reads);
        spin_unlock(&lock);
    }
    return used;
}

static const struct kernel_param_ops tell_ops = {.set = tell}, state_ops = {.get = show_state};
module_param_cb(tell, &tell_ops, NULL, 0200);
module_param_cb(state, &state_ops, NULL, 0444);

static void rig_exit(void)
{
    take_away(-1);
    for (int i = 0; i < 2; i++)
        if (types[i])
            powercap_unregister_control_type(types[i]);
}

static int __init rig_init(void)
{
    int error;

    for (int i = 0; i < COUNT; i++) {
        counters[i].at = ktime_get();
        counters[i].pj = (i + 1) * 3456789ULL * PJ_PER_UJ; // each its own
        counters[i].shows = counters[i].type ? 0 : i;
    }
    for (int i = 0; i < 2; i++) {
        struct powercap_control_type *type = powercap_register_control_type(NULL, type_names[i], NULL);

        if (IS_ERR(type)) {
            rig_exit();
            return PTR_ERR(type);
        }
        types[i] = type;
    }
    error = bring(-1);
    if (error)
        rig_exit();
    return error;
}

module_init(rig_init);
module_exit(rig_exit);
#endif
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Scripted energy counters on the powercap core");
