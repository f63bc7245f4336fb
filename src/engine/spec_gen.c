/* engine/spec_gen.c -- the OCI config.json of a container, with docker's defaults written out as tables, one
 * file per section: spec_gen_SECTION.c.
 *
 * Invariants: (1) inheritable and ambient capabilities are never written (T11); (2) only --privileged drops
 * several protections at once (DESIGN 8.4); (3) the document is accepted by any OCI runtime. */
#include "engine/spec_gen_int.h"

#define OCI_VERSION "1.0.2"

int skf_spec_gen(const struct skf_gen *g, struct skf_buf *ret, struct skf_err *e)
{
	struct skf_jw w = SKF_JW(ret);

	skf_jw_obj(&w);
	skf_jw_kint(&w, "v", 1);
	skf_jw_kint(&w, "min", 1);
	skf_jw_kstr(&w, "ociVersion", OCI_VERSION);
	skf_process_gen(&w, "process", &g->process);
	skf_jw_kobj(&w, "root");
	skf_jw_kstr(&w, "path", "rootfs");
	skf_jw_kbool(&w, "readonly", g->readonly);
	skf_jw_end(&w);
	if (g->ns[SKF_NS_UTS].on && !g->ns[SKF_NS_UTS].path &&
	    !(g->ns[SKF_NS_USER].on && g->ns[SKF_NS_UTS].borrowed))
		skf_jw_kstr(&w, "hostname", g->hostname);
	if (g->domainname && *g->domainname)
		skf_jw_kstr(&w, "domainname", g->domainname);
	if (g->annotations.n)
		skf_jw_kkvs(&w, "annotations", &g->annotations);
	if (g->hooks)
		skf_jw_kraw(&w, "hooks", g->hooks);
	if (skf_gen_mounts(&w, g, e) < 0 || skf_gen_linux(&w, g, e) < 0)
		return -1;
	skf_ctrconf_write(&w, g->conf);
	skf_jw_end(&w);
	if (ret->err < 0)
		return skf_fail_sys(e, ret->err,
				    "write the config.json of container '%.12s' (at most %d bytes)", g->id,
				    (int)SKF_MAX_SPEC_BYTES);
	return 0;
}
