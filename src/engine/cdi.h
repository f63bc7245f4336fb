/* engine/cdi.h -- Container Device Interface: files in the directories of the configuration's `cdi_dirs` say
 * what a device's name VENDOR/CLASS=NAME means. CDI specification 0.8, and of 1.1 what is not a network
 * device. */
#pragma once
#include "base/fwd.h"

struct skf_plan;
/* VENDOR/CLASS=NAME, as in vendor.example/class=name. */
bool skf_cdi_is_name(const char *s);
/* Adds what the named devices ask for to the plan: nodes, mounts, environment, groups, hooks, resctrl.
 * Errors: cdi_find and cdi_spec_parse. Blocks on the disk. */
int skf_plan_cdi(struct skf_plan *p, const struct skf_strv *names, struct skf_err *e);
