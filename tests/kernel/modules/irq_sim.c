// SPDX-License-Identifier: GPL-2.0
// Debian has IRQ_SIM off: its own irq_sim.c as a module. irq_to_desc() is not exported; the same descriptor is reached
// through its irq_data.
#include <linux/irq.h>
#include <linux/irqdesc.h>
#include <linux/module.h>

#define irq_to_desc(irq) irq_data_to_desc(irq_get_irq_data(irq))
#include "irq_sim_debian.c"

MODULE_DESCRIPTION("Simulated interrupts");
MODULE_LICENSE("GPL");
