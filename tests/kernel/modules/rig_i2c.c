// SPDX-License-Identifier: GPL-2.0
// I2C buses made from the device tree, with chips of 16-bit registers behind them, and faults on command.
//
// A node `compatible = "rig,i2c"` is a bus; each child with a `reg` is a chip there, bound by the kernel's own driver.
// A child "ti,ina3221" behaves as TI's data sheet SBOS576C has it (reset, conversion and alarm flags); any other is a
// plain set of registers. Each bus has its files in /sys/bus/platform/devices/NODE/:
//   fail        errno of each transfer, 0 none          fail_every  each Nth transfer fails with EREMOTEIO
//   delay_us    each transfer takes so much longer      only        the faults are this address' alone, 0 all
//   stuck       no conversion ends any more             transfers, writes   how many there were (of registers: writes)
//   poke        ADDRESS REGISTER VALUE [BYTES]          what the world outside gives the chip to read
//   ramp        ADDRESS REGISTER BASE STEPS SHIFT       the register is (BASE + STEPS each second) << SHIFT from now
//   on;
//                                                       reads as the CLOCK_MONOTONIC ns of that now
#include <linux/delay.h>
#include <linux/i2c.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/of.h>
#include <linux/platform_device.h>

#define CHIPS 4

enum { CONFIG = 0x00, SHUNT_1 = 0x01, BUS_3 = 0x06, CRITICAL_1 = 0x07, WARNING_1 = 0x08, MASK_ENABLE = 0x0f };

struct ramp {
    bool on;
    u8 reg;
    s64 base, steps; // steps each second
    int shift;
    ktime_t from;
};

struct chip {
    u16 address;
    bool is_ina3221;
    u8 pointer;
    u32 value[256];
    u8 bytes[256]; // of a register, most significant first
    struct ramp ramp;
    ktime_t ready; // single-shot: the conversion ends then
    ktime_t flags_read;
};

struct rig {
    struct i2c_adapter adapter;
    struct mutex lock;
    struct chip chips[CHIPS];
    int count;
    int fail, fail_every, delay_us, stuck, only;
    unsigned long transfers, writes, faulty;
    s64 ramp_ns;
};

static void ina3221_reset(struct chip *chip)
{
    int i;

    chip->value[CONFIG] = 0x7127;
    for (i = CRITICAL_1; i <= 0x0c; i++)
        chip->value[i] = 0x7ff8;
    chip->value[0x0d] = 0;
    chip->value[0x0e] = 0x7ffe;
    chip->value[MASK_ENABLE] = 0x0002;
    chip->value[0x10] = 0x2710;
    chip->value[0x11] = 0x2328;
    chip->value[0xfe] = 0x5449;
    chip->value[0xff] = 0x3220;
}

// One round of all channels that are on: shunt and bus voltage, averaged.
static s64 ina3221_cycle_us(const struct chip *chip)
{
    static const u32 times_us[] = {140, 204, 332, 588, 1100, 2116, 4156, 8244};
    static const u32 samples[] = {1, 4, 16, 64, 128, 256, 512, 1024};
    u32 config = chip->value[CONFIG];

    return (s64)hweight32(config & 0x7000) * samples[config >> 9 & 7] *
           (times_us[config >> 6 & 7] + times_us[config >> 3 & 7]);
}

static u32 measured(const struct chip *chip, u8 reg)
{
    const struct ramp *ramp = &chip->ramp;
    s64 gone_us, steps;

    if (!ramp->on || ramp->reg != reg)
        return chip->value[reg];
    gone_us = ktime_us_delta(ktime_get(), ramp->from);
    steps = ramp->base + div_s64(2 * ramp->steps * gone_us + USEC_PER_SEC, 2 * USEC_PER_SEC); // to the nearest
    return (u32)(steps << ramp->shift) & 0xffff;
}

// Conversion ready, and the limits that the last round was above. Any read clears the flags.
static u32 ina3221_mask_enable(struct chip *chip, bool stuck)
{
    ktime_t now = ktime_get();
    bool continuous = chip->value[CONFIG] & 4;
    u32 value = chip->value[MASK_ENABLE] & ~0x03f9;
    int i;

    if (!stuck && (continuous || ktime_compare(now, chip->ready) >= 0))
        value |= 1;
    if (ktime_us_delta(now, chip->flags_read) >= ina3221_cycle_us(chip))
        for (i = 0; i < 3; i++) {
            s16 shunt = (s16)measured(chip, SHUNT_1 + 2 * i);

            if (shunt > (s16)chip->value[CRITICAL_1 + 2 * i])
                value |= 0x200 >> i;
            if (shunt > (s16)chip->value[WARNING_1 + 2 * i])
                value |= 0x20 >> i;
        }
    chip->flags_read = now;
    return value;
}

static void write_register(struct rig *rig, struct chip *chip, u32 value)
{
    u8 reg = chip->pointer;

    rig->writes++;
    if (!chip->is_ina3221) {
        chip->value[reg] = value;
        return;
    }
    if (reg == CONFIG && value & 0x8000) {
        ina3221_reset(chip);
    } else if (reg == CONFIG) {
        chip->value[reg] = value;
        chip->ready = ktime_add_us(ktime_get(), ina3221_cycle_us(chip));
    } else if (reg > BUS_3 && reg <= 0x11) {
        chip->value[reg] = value;
    }
}

static void read_register(struct rig *rig, struct chip *chip, struct i2c_msg *msg)
{
    u8 reg = chip->pointer, bytes = chip->bytes[reg];
    bool flags = chip->is_ina3221 && reg == MASK_ENABLE;
    u32 value = flags ? ina3221_mask_enable(chip, rig->stuck) : measured(chip, reg);
    int i;

    for (i = 0; i < msg->len; i++)
        msg->buf[i] = i < bytes ? value >> (8 * (bytes - 1 - i)) : 0xff;
}

static int fault(struct rig *rig, u16 address)
{
    rig->transfers++;
    if (rig->only && rig->only != address)
        return 0;
    if (rig->delay_us > 20000)
        msleep(rig->delay_us / 1000);
    else if (rig->delay_us)
        usleep_range(rig->delay_us, rig->delay_us + 50);
    if (rig->fail)
        return -rig->fail;
    return rig->fail_every && ++rig->faulty % rig->fail_every == 0 ? -EREMOTEIO : 0;
}

static struct chip *chip_at(struct rig *rig, u16 address)
{
    int i;

    for (i = 0; i < rig->count; i++)
        if (rig->chips[i].address == address)
            return &rig->chips[i];
    return NULL;
}

static int transfer(struct i2c_adapter *adapter, struct i2c_msg *msgs, int count)
{
    struct rig *rig = i2c_get_adapdata(adapter);
    int rc = fault(rig, msgs[0].addr), i;

    if (rc)
        return rc;
    mutex_lock(&rig->lock);
    for (i = 0; i < count && rc == 0; i++) {
        struct i2c_msg *msg = &msgs[i];
        struct chip *chip = chip_at(rig, msg->addr);

        if (!chip) {
            rc = -ENXIO;
        } else if (msg->flags & I2C_M_RD) {
            read_register(rig, chip, msg);
        } else if (msg->len) {
            chip->pointer = msg->buf[0];
            if (msg->len >= 3)
                write_register(rig, chip, msg->buf[1] << 8 | msg->buf[2]);
        }
    }
    mutex_unlock(&rig->lock);
    return rc ? rc : count;
}

static u32 functionality(struct i2c_adapter *adapter)
{
    return I2C_FUNC_I2C | I2C_FUNC_SMBUS_EMUL;
}

static const struct i2c_algorithm algorithm = {.master_xfer = transfer, .functionality = functionality};

// The files -------------------------------------------------------------------------------------------
#define NUMBER(name)                                                                                                   \
    static ssize_t name##_show(struct device *dev, struct device_attribute *attr, char *buf)                           \
    {                                                                                                                  \
        return sysfs_emit(buf, "%ld\n", (long)((struct rig *)dev_get_drvdata(dev))->name);                             \
    }
#define SETTING(name)                                                                                                  \
    NUMBER(name)                                                                                                       \
    static ssize_t name##_store(struct device *dev, struct device_attribute *attr, const char *buf, size_t size)       \
    {                                                                                                                  \
        int rc = kstrtoint(buf, 0, &((struct rig *)dev_get_drvdata(dev))->name);                                       \
        return rc ? rc : size;                                                                                         \
    }                                                                                                                  \
    static DEVICE_ATTR_RW(name)

SETTING(fail);
SETTING(fail_every);
SETTING(delay_us);
SETTING(stuck);
SETTING(only);
NUMBER(transfers)
static DEVICE_ATTR_RO(transfers);
NUMBER(writes)
static DEVICE_ATTR_RO(writes);

static ssize_t poke_store(struct device *dev, struct device_attribute *attr, const char *buf, size_t size)
{
    struct rig *rig = dev_get_drvdata(dev);
    int address, reg, value, bytes = 2;
    struct chip *chip;

    if (sscanf(buf, "%i %i %i %i", &address, &reg, &value, &bytes) < 3 || reg < 0 || reg > 255 || bytes < 1 ||
        bytes > 4)
        return -EINVAL;
    chip = chip_at(rig, address);
    if (!chip)
        return -ENXIO;
    mutex_lock(&rig->lock);
    chip->value[reg] = value;
    chip->bytes[reg] = bytes;
    if (chip->ramp.reg == reg)
        chip->ramp.on = false;
    mutex_unlock(&rig->lock);
    return size;
}
static DEVICE_ATTR_WO(poke);

static ssize_t ramp_store(struct device *dev, struct device_attribute *attr, const char *buf, size_t size)
{
    struct rig *rig = dev_get_drvdata(dev);
    int address, reg, base, steps, shift;
    struct chip *chip;

    if (sscanf(buf, "%i %i %i %i %i", &address, &reg, &base, &steps, &shift) != 5 || reg < 0 || reg > 255)
        return -EINVAL;
    chip = chip_at(rig, address);
    if (!chip)
        return -ENXIO;
    mutex_lock(&rig->lock);
    chip->ramp = (struct ramp){true, reg, base, steps, shift, ktime_get()};
    rig->ramp_ns = ktime_to_ns(chip->ramp.from);
    mutex_unlock(&rig->lock);
    return size;
}

static ssize_t ramp_show(struct device *dev, struct device_attribute *attr, char *buf)
{
    return sysfs_emit(buf, "%lld\n", ((struct rig *)dev_get_drvdata(dev))->ramp_ns);
}
static DEVICE_ATTR_RW(ramp);

static struct attribute *rig_attrs[] = {
    &dev_attr_fail.attr,     &dev_attr_fail_every.attr,
    &dev_attr_delay_us.attr, &dev_attr_stuck.attr,
    &dev_attr_only.attr,     &dev_attr_transfers.attr,
    &dev_attr_writes.attr,   &dev_attr_poke.attr,
    &dev_attr_ramp.attr,     NULL,
};
ATTRIBUTE_GROUPS(rig);

static void add_chip(struct rig *rig, struct device_node *node)
{
    struct chip *chip = &rig->chips[rig->count];
    u32 address;
    int i;

    if (rig->count == CHIPS || of_property_read_u32(node, "reg", &address))
        return;
    rig->count++;
    chip->address = address;
    chip->is_ina3221 = of_device_is_compatible(node, "ti,ina3221");
    memset(chip->bytes, 2, sizeof(chip->bytes));
    if (!chip->is_ina3221)
        return;
    ina3221_reset(chip);
    for (i = 0; i < 3; i++) {
        chip->value[SHUNT_1 + 2 * i] = 100 * (i + 1) << 3; // 4, 8, 12 mV
        chip->value[SHUNT_1 + 1 + 2 * i] = 625 << 3;       // 5 V
    }
}

static int rig_probe(struct platform_device *device)
{
    struct rig *rig = devm_kzalloc(&device->dev, sizeof(*rig), GFP_KERNEL);
    struct device_node *child;

    if (!rig)
        return -ENOMEM;
    mutex_init(&rig->lock);
    for_each_available_child_of_node(device->dev.of_node, child) add_chip(rig, child);
    rig->adapter.owner = THIS_MODULE;
    rig->adapter.algo = &algorithm;
    rig->adapter.dev.parent = &device->dev;
    rig->adapter.dev.of_node = device->dev.of_node;
    snprintf(rig->adapter.name, sizeof(rig->adapter.name), "rig %s", dev_name(&device->dev));
    i2c_set_adapdata(&rig->adapter, rig);
    platform_set_drvdata(device, rig);
    return i2c_add_adapter(&rig->adapter);
}

static int rig_remove(struct platform_device *device)
{
    struct rig *rig = platform_get_drvdata(device);

    i2c_del_adapter(&rig->adapter);
    return 0;
}

static const struct of_device_id rig_ids[] = {{.compatible = "rig,i2c"}, {}};
MODULE_DEVICE_TABLE(of, rig_ids);

static struct platform_driver rig_driver = {
    .probe = rig_probe,
    .remove = rig_remove,
    .driver = {.name = "rig-i2c", .of_match_table = rig_ids, .dev_groups = rig_groups},
};
module_platform_driver(rig_driver);

MODULE_DESCRIPTION("I2C buses with chips of registers, for tests");
MODULE_LICENSE("GPL");
