/* oci/mountopt.c -- mount options of the runtime-spec. One table (the X-macro below, sorted by name) gives
 * both what each option does and the list that `features` publishes. Pure; nothing blocks.
 *
 * Invariants:
 * 1. Options take effect in their order: of "ro" and "rw" the last one counts, and the same flag is never in
 * both `flags` and `clear`, nor in both attr_rec_set and attr_rec_clr (but for the access-time field, see
 * 2).
 * 2. MOUNT_ATTR__ATIME is a field, not a set of bits: mount_setattr(2) wants all of it cleared when any of
 * it is set. */
#include "oci/mountopt.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/limits.h"
#include "oci/spec.h"
#include <string.h>
#include <sys/mount.h>

enum kind { NOTHING, SET, CLEAR, PROPAGATE, REC_SET, REC_CLEAR, REC_ATIME, BOOLEAN };

#define FLAG(member) offsetof(struct skf_mountopts, member)
/* name, kind, value; sorted as strcmp does. */
#define OPTIONS(X)                                                                                          \
	X("acl", SET, MS_POSIXACL)                                                                          \
	X("async", CLEAR, MS_SYNCHRONOUS)                                                                   \
	X("atime", CLEAR, MS_NOATIME)                                                                       \
	X("bind", SET, MS_BIND)                                                                             \
	X("copy-symlink", BOOLEAN, FLAG(copy_symlink))                                                      \
	X("defaults", NOTHING, 0)                                                                           \
	X("dest-nofollow", BOOLEAN, FLAG(dest_nofollow))                                                    \
	X("dev", CLEAR, MS_NODEV)                                                                           \
	X("diratime", CLEAR, MS_NODIRATIME)                                                                 \
	X("dirsync", SET, MS_DIRSYNC)                                                                       \
	X("exec", CLEAR, MS_NOEXEC)                                                                         \
	X("idmap", BOOLEAN, FLAG(idmap))                                                                    \
	X("iversion", SET, MS_I_VERSION)                                                                    \
	X("lazytime", SET, MS_LAZYTIME)                                                                     \
	X("loud", CLEAR, MS_SILENT)                                                                         \
	X("mand", SET, MS_MANDLOCK)                                                                         \
	X("noacl", CLEAR, MS_POSIXACL)                                                                      \
	X("noatime", SET, MS_NOATIME)                                                                       \
	X("nodev", SET, MS_NODEV)                                                                           \
	X("nodiratime", SET, MS_NODIRATIME)                                                                 \
	X("noexec", SET, MS_NOEXEC)                                                                         \
	X("noiversion", CLEAR, MS_I_VERSION)                                                                \
	X("nolazytime", CLEAR, MS_LAZYTIME)                                                                 \
	X("nomand", CLEAR, MS_MANDLOCK)                                                                     \
	X("norelatime", CLEAR, MS_RELATIME)                                                                 \
	X("nostrictatime", CLEAR, MS_STRICTATIME)                                                           \
	X("nosuid", SET, MS_NOSUID)                                                                         \
	X("nosymfollow", SET, MS_NOSYMFOLLOW)                                                               \
	X("private", PROPAGATE, MS_PRIVATE)                                                                 \
	X("ratime", REC_ATIME, MOUNT_ATTR_RELATIME)                                                         \
	X("rbind", SET, MS_BIND | MS_REC)                                                                   \
	X("rdev", REC_CLEAR, MOUNT_ATTR_NODEV)                                                              \
	X("rdiratime", REC_CLEAR, MOUNT_ATTR_NODIRATIME)                                                    \
	X("relatime", SET, MS_RELATIME)                                                                     \
	X("remount", SET, MS_REMOUNT)                                                                       \
	X("rexec", REC_CLEAR, MOUNT_ATTR_NOEXEC)                                                            \
	X("ridmap", BOOLEAN, FLAG(ridmap))                                                                  \
	X("rnoatime", REC_ATIME, MOUNT_ATTR_NOATIME)                                                        \
	X("rnodev", REC_SET, MOUNT_ATTR_NODEV)                                                              \
	X("rnodiratime", REC_SET, MOUNT_ATTR_NODIRATIME)                                                    \
	X("rnoexec", REC_SET, MOUNT_ATTR_NOEXEC)                                                            \
	X("rnorelatime", REC_ATIME, MOUNT_ATTR_RELATIME)                                                    \
	X("rnostrictatime", REC_ATIME, MOUNT_ATTR_RELATIME)                                                 \
	X("rnosuid", REC_SET, MOUNT_ATTR_NOSUID)                                                            \
	X("rnosymfollow", REC_SET, MOUNT_ATTR_NOSYMFOLLOW)                                                  \
	X("ro", SET, MS_RDONLY)                                                                             \
	X("rprivate", PROPAGATE, MS_PRIVATE | MS_REC)                                                       \
	X("rrelatime", REC_ATIME, MOUNT_ATTR_RELATIME)                                                      \
	X("rro", REC_SET, MOUNT_ATTR_RDONLY)                                                                \
	X("rrw", REC_CLEAR, MOUNT_ATTR_RDONLY)                                                              \
	X("rshared", PROPAGATE, MS_SHARED | MS_REC)                                                         \
	X("rslave", PROPAGATE, MS_SLAVE | MS_REC)                                                           \
	X("rstrictatime", REC_ATIME, MOUNT_ATTR_STRICTATIME)                                                \
	X("rsuid", REC_CLEAR, MOUNT_ATTR_NOSUID)                                                            \
	X("rsymfollow", REC_CLEAR, MOUNT_ATTR_NOSYMFOLLOW)                                                  \
	X("runbindable", PROPAGATE, MS_UNBINDABLE | MS_REC)                                                 \
	X("rw", CLEAR, MS_RDONLY)                                                                           \
	X("shared", PROPAGATE, MS_SHARED)                                                                   \
	X("silent", SET, MS_SILENT)                                                                         \
	X("slave", PROPAGATE, MS_SLAVE)                                                                     \
	X("src-nofollow", BOOLEAN, FLAG(src_nofollow))                                                      \
	X("strictatime", SET, MS_STRICTATIME)                                                               \
	X("suid", CLEAR, MS_NOSUID)                                                                         \
	X("symfollow", CLEAR, MS_NOSYMFOLLOW)                                                               \
	X("sync", SET, MS_SYNCHRONOUS)                                                                      \
	X("tmpcopyup", BOOLEAN, FLAG(tmpcopyup))                                                            \
	X("unbindable", PROPAGATE, MS_UNBINDABLE)

struct option {
	const char *name;
	uint32_t value;
	uint8_t kind; /* enum kind */
};
#define ROW(n, k, v)  {n, v, k},
#define NAME(n, k, v) n,
static const struct option shown[] = {OPTIONS(ROW)};
const char *const skf_spec_mount_options[] = {OPTIONS(NAME) NULL};

static const struct option *find(const char *name)
{
	size_t lo = 0, hi = SKF_ARRAY_LEN(shown);

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int r = strcmp(name, shown[mid].name);
		if (r == 0)
			return &shown[mid];
		if (r < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

static int set_propagation(struct skf_mountopts *o, const char *name, unsigned long value, struct skf_err *e)
{
	if (o->propagation && ((o->propagation ^ value) & ~(unsigned long)MS_REC))
		return skf_fail(e, SKF_EINVALID,
				"option '%s' contradicts an earlier one: a mount has one kind of "
				"propagation; keep one",
				name);
	o->propagation |= value;
	return 0;
}

static int apply(struct skf_mountopts *o, const struct option *x, struct skf_err *e)
{
	switch (x->kind) {
	case NOTHING:
		break;
	case SET:
		o->flags |= x->value;
		o->clear &= ~x->value;
		break;
	case CLEAR:
		o->flags &= ~x->value;
		o->clear |= x->value;
		break;
	case PROPAGATE:
		return set_propagation(o, x->name, x->value, e);
	case REC_SET:
		o->attr_rec_set |= x->value;
		o->attr_rec_clr &= ~x->value;
		break;
	case REC_CLEAR:
		o->attr_rec_set &= ~x->value;
		o->attr_rec_clr |= x->value;
		break;
	case REC_ATIME:
		o->attr_rec_set = (o->attr_rec_set & ~(uint64_t)MOUNT_ATTR__ATIME) | x->value;
		o->attr_rec_clr |= MOUNT_ATTR__ATIME;
		break;
	case BOOLEAN:
		*(bool *)((char *)o + x->value) = true;
		break;
	}
	return 0;
}

/* "uids=0-1-10#...;gids=..." with an optional '@' per entry; only its outline is judged here. */
static int set_idmap(struct skf_mountopts *o, const char *spec, bool recursive, struct skf_arena *a,
		     struct skf_err *e)
{
	if (!skf_startswith(spec, "uids=") && !skf_startswith(spec, "gids="))
		return skf_fail(e, SKF_EINVALID,
				"option 'idmap=%.100s': expected 'uids=' or 'gids=' after 'idmap='", spec);
	if (o->idmap_spec)
		return skf_fail(e, SKF_EINVALID,
				"option 'idmap=%.100s' contradicts an earlier one; keep one", spec);
	o->idmap_spec = skf_arena_strdup(a, spec);
	if (!o->idmap_spec)
		return skf_nomem(e);
	o->idmap = true;
	o->ridmap = o->ridmap || recursive;
	return 0;
}

/* --- the text after "idmap=" --- */

struct idmap_text {
	const char *at;    /* what is still to be read */
	const char *whole; /* for messages */
	struct skf_err *e;
};

static int bad_idmap(const struct idmap_text *t)
{
	return skf_fail(t->e, SKF_EINVALID,
			"option 'idmap=%.100s': invalid mapping specified near '%.32s'; expected "
			"'uids=ID-HOSTID-SIZE#...;gids=...'",
			t->whole, t->at);
}

static int read_number(struct idmap_text *t, uint32_t *ret)
{
	char digits[12];
	size_t n = strspn(t->at, "0123456789");

	if (n == 0 || n >= sizeof(digits))
		return bad_idmap(t);
	memcpy(digits, t->at, n);
	digits[n] = '\0';
	if (skf_parse_u32(digits, ret) < 0)
		return bad_idmap(t);
	t->at += n;
	return 0;
}

/* '@': the second number is an id of the container, which its own mapping leads to the host. */
static int make_absolute(struct idmap_text *t, const struct skf_jarr *container, struct skf_idmap *m)
{
	const struct skf_idmap *c = container->v;

	if (container->n == 0)
		return skf_fail(t->e, SKF_EINVALID,
				"option 'idmap=%.100s': specified a relative mapping without user namespace "
				"mappings; remove '@' or add them",
				t->whole);
	for (size_t i = 0; i < container->n; i++) {
		if (m->host_id < c[i].container_id || m->host_id - c[i].container_id >= c[i].size)
			continue;
		m->host_id = m->host_id - c[i].container_id + c[i].host_id;
		return 0;
	}
	return skf_fail(t->e, SKF_EINVALID,
			"option 'idmap=%.100s': could not find a user namespace mapping for the relative "
			"mapping to id %u",
			t->whole, m->host_id);
}

static int read_mapping(struct idmap_text *t, const struct skf_jarr *container, struct skf_idmap *m)
{
	uint32_t *const field[] = {&m->container_id, &m->host_id, &m->size};
	bool relative = *t->at == '@';

	t->at += relative;
	for (size_t i = 0; i < SKF_ARRAY_LEN(field); i++) {
		if (i > 0 && *t->at++ != '-') {
			t->at--;
			return bad_idmap(t);
		}
		if (read_number(t, field[i]) < 0)
			return -1;
	}
	if (m->size == 0)
		return bad_idmap(t);
	return relative ? make_absolute(t, container, m) : 0;
}

static int read_list(struct idmap_text *t, const struct skf_jarr *container, struct skf_arena *a,
		     struct skf_jarr *ret)
{
	size_t max = 1;

	for (const char *p = t->at; *p && *p != ';'; p++)
		max += *p == '#';
	struct skf_idmap *v = max > SKF_MAX_IDMAPS ? NULL : skf_arena_array(a, max, sizeof(*v));
	if (!v)
		return skf_fail(t->e, SKF_ELIMIT, "option 'idmap=%.100s': more than %d mappings", t->whole,
				SKF_MAX_IDMAPS);
	ret->v = v;
	for (ret->n = 0; ret->n < max;) {
		if (read_mapping(t, container, &v[ret->n]) < 0)
			return -1;
		ret->n++;
		if (*t->at != '#')
			break;
		t->at++;
	}
	return 0;
}

int skf_mountopts_idmap(const char *spec, const struct skf_jarr *container_uids,
			const struct skf_jarr *container_gids, struct skf_arena *a,
			struct skf_jarr *ret_uids, struct skf_jarr *ret_gids, struct skf_err *e)
{
	struct idmap_text t = {.at = spec, .whole = spec, .e = e};
	struct skf_jarr uids = {0}, gids = {0};

	while (*t.at) {
		bool is_uids = skf_startswith(t.at, "uids=");
		if ((!is_uids && !skf_startswith(t.at, "gids=")) || (is_uids ? uids.n : gids.n))
			return bad_idmap(&t);
		t.at += strlen("uids=");
		if (read_list(&t, is_uids ? container_uids : container_gids, a, is_uids ? &uids : &gids) < 0)
			return -1;
		if (*t.at && *t.at != ';')
			return bad_idmap(&t);
		t.at += *t.at == ';';
	}
	*ret_uids = uids;
	*ret_gids = gids;
	return 0;
}

/* mount(2) copies one page of data at most; fsconfig has its own limit per string. */
#define MAX_DATA (16 * SKF_MAX_TAR_PATH)

int skf_mountopts_parse(const struct skf_strv *options, struct skf_arena *a, struct skf_mountopts *ret,
			struct skf_err *e)
{
	struct skf_mountopts o = {0};
	SKF_AUTO(skf_buf_done) struct skf_buf data = SKF_BUF(MAX_DATA);

	for (size_t i = 0; i < options->n; i++) {
		const char *s = options->v[i];
		const struct option *x = find(s);
		if (x) {
			if (apply(&o, x, e) < 0)
				return -1;
		} else if (skf_startswith(s, "idmap=") || skf_startswith(s, "ridmap=")) {
			if (set_idmap(&o, strchr(s, '=') + 1, s[0] == 'r', a, e) < 0)
				return -1;
		} else if (s[0] != '\0') {
			skf_buf_str(&data, data.len ? "," : "");
			skf_buf_str(&data, s);
		}
	}
	if (data.err < 0)
		return skf_fail(e, SKF_ELIMIT,
				"the options for the file system have more than %d bytes; shorten them",
				MAX_DATA);
	o.data = skf_arena_dup(a, skf_buf_cstr(&data), data.len);
	if (!o.data)
		return skf_nomem(e);
	*ret = o;
	return 0;
}
