/* oci/spec_features.c -- the document of `skiff-oci features` (features.md of the runtime-spec), written
 * from the tables that the decoder works by, so that it cannot promise what config.json would be refused
 * for. Pure; nothing blocks. */
#include "oci/spec_int.h"
#include "sys/process.h"

/* refused: value of the names that the decoder knows but does not take; -1: none. */
static void names_but(struct skf_jw *w, const char *key, const struct skf_jenum *t, int refused)
{
	skf_jw_karr(w, key);
	for (; t->name; t++) {
		if (t->value != refused)
			skf_jw_str(w, t->name);
	}
	skf_jw_end_arr(w);
}

static void enabled(struct skf_jw *w, const char *key, bool on)
{
	skf_jw_kobj(w, key);
	skf_jw_kbool(w, "enabled", on);
	skf_jw_end(w);
}

static void write_capabilities(struct skf_jw *w)
{
	const char *name;

	skf_jw_karr(w, "capabilities");
	for (unsigned i = 0; (name = skf_cap_name(i)) != NULL; i++)
		skf_jw_str(w, name);
	skf_jw_end_arr(w);
}

static void write_seccomp(struct skf_jw *w)
{
	skf_jw_kobj(w, "seccomp");
	skf_jw_kbool(w, "enabled", true);
	names_but(w, "actions", skf_spec_seccomp_actions, -1);
	names_but(w, "operators", skf_spec_seccomp_ops, -1);
	names_but(w, "archs", skf_spec_seccomp_archs, 0);
	names_but(w, "knownFlags", skf_spec_seccomp_flags, -1);
	names_but(w, "supportedFlags", skf_spec_seccomp_flags, -1);
	skf_jw_end(w);
}

static void write_linux(struct skf_jw *w)
{
	skf_jw_kobj(w, "linux");
	names_but(w, "namespaces", skf_spec_ns_types, -1);
	write_capabilities(w);
	skf_jw_kobj(w, "cgroup");
	skf_jw_kbool(w, "v1", true);
	skf_jw_kbool(w, "v2", true);
	skf_jw_kbool(w, "systemd", true);
	skf_jw_kbool(w, "systemdUser", true);
	skf_jw_kbool(w, "rdma", true);
	skf_jw_end(w);
	write_seccomp(w);
	enabled(w, "apparmor", true);
	enabled(w, "selinux", true);
	skf_jw_kobj(w, "intelRdt");
	skf_jw_kbool(w, "enabled", true);
	skf_jw_kbool(w, "schemata", true);
	skf_jw_kbool(w, "monitoring", true);
	skf_jw_end(w);
	skf_jw_kobj(w, "memoryPolicy");
	names_but(w, "modes", skf_spec_memory_modes, -1);
	names_but(w, "flags", skf_spec_memory_flags, -1);
	skf_jw_end(w);
	skf_jw_kobj(w, "mountExtensions");
	enabled(w, "idmap", true);
	skf_jw_end(w);
	enabled(w, "netDevices", true);
	skf_jw_end(w);
}

void skf_spec_write_features(struct skf_jw *w)
{
	skf_jw_obj(w);
	skf_jw_kstr(w, "ociVersionMin", "1.0.0");
	skf_jw_kstr(w, "ociVersionMax", "1.3.0");
	skf_jw_karr(w, "hooks");
	for (const struct skf_jfield *f = skf_spec_hooks_table.f; f->key; f++)
		skf_jw_str(w, f->key);
	skf_jw_end_arr(w);
	skf_jw_karr(w, "mountOptions");
	for (size_t i = 0; skf_spec_mount_options[i]; i++)
		skf_jw_str(w, skf_spec_mount_options[i]);
	skf_jw_end_arr(w);
	write_linux(w);
	skf_jw_kobj(w, "annotations");
	skf_jw_kstr(w, "org.skiff.version", SKF_VERSION);
	skf_jw_end(w);
	/* annotations of config.json that change what is done; a name that ends with "." is a prefix */
	skf_jw_karr(w, "potentiallyUnsafeConfigAnnotations");
	skf_jw_str(w, "org.criu.config");
	skf_jw_str(w, "org.systemd.property.");
	skf_jw_str(w, "run.oci.");
	skf_jw_end_arr(w);
	skf_jw_end(w);
}
