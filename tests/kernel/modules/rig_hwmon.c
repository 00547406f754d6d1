// SPDX-License-Identifier: GPL-2.0
// A hwmon device that tells powers and energies, as any driver may: power1_input (with its label), power2_average,
// energy3_input. Their values are written to /sys/bus/platform/devices/rig-hwmon.0/{power1,power2,energy3}, in uW and
// uJ. Bound and unbound through /sys/bus/platform/drivers/rig-hwmon.
#include <linux/hwmon.h>
#include <linux/module.h>
#include <linux/platform_device.h>

static long values[3]; // power1, power2, energy3; kept over an unbind

static umode_t is_visible(const void *data, enum hwmon_sensor_types type, u32 attr, int channel)
{
    return type == hwmon_energy && channel < 2 ? 0 : 0444; // the list ends with the first that has nothing
}

static int read(struct device *dev, enum hwmon_sensor_types type, u32 attr, int channel, long *value)
{
    *value = values[type == hwmon_energy ? 2 : channel];
    return 0;
}

static int read_string(struct device *dev, enum hwmon_sensor_types type, u32 attr, int channel, const char **text)
{
    *text = "RIG_POWER";
    return 0;
}

static const struct hwmon_ops ops = {.is_visible = is_visible, .read = read, .read_string = read_string};
static const struct hwmon_channel_info *info[] = {
    HWMON_CHANNEL_INFO(power, HWMON_P_INPUT | HWMON_P_LABEL, HWMON_P_AVERAGE),
    HWMON_CHANNEL_INFO(energy, HWMON_E_INPUT, HWMON_E_INPUT, HWMON_E_INPUT),
    NULL,
};
static const struct hwmon_chip_info chip = {.ops = &ops, .info = info};

static ssize_t store(struct device *dev, struct device_attribute *attr, const char *buf, size_t size)
{
    int rc = kstrtol(buf, 0, &values[attr->attr.name[5] == '1' ? 0 : attr->attr.name[5] == '2' ? 1 : 2]);

    return rc ? rc : size;
}

static DEVICE_ATTR(power1, 0200, NULL, store);
static DEVICE_ATTR(power2, 0200, NULL, store);
static DEVICE_ATTR(energy3, 0200, NULL, store);
static struct attribute *rig_attrs[] = {&dev_attr_power1.attr, &dev_attr_power2.attr, &dev_attr_energy3.attr, NULL};
ATTRIBUTE_GROUPS(rig);

static int rig_probe(struct platform_device *device)
{
    return PTR_ERR_OR_ZERO(devm_hwmon_device_register_with_info(&device->dev, "rig", NULL, &chip, NULL));
}

static struct platform_driver driver = {.probe = rig_probe, .driver = {.name = "rig-hwmon", .dev_groups = rig_groups}};
static struct platform_device *device;

static int __init rig_init(void)
{
    int rc = platform_driver_register(&driver);

    if (rc)
        return rc;
    device = platform_device_register_simple("rig-hwmon", 0, NULL, 0);
    if (IS_ERR(device))
        platform_driver_unregister(&driver);
    return PTR_ERR_OR_ZERO(device);
}
module_init(rig_init);

static void __exit rig_exit(void)
{
    platform_device_unregister(device);
    platform_driver_unregister(&driver);
}
module_exit(rig_exit);

MODULE_DESCRIPTION("A hwmon device with powers and energies, for tests");
MODULE_LICENSE("GPL");
