/* runtime/idmap_default.c -- id mappings for a new user namespace when config.json has none at all (the spec
 * does not ask for them; runc refuses, crun does as we do): root of the container is the caller, and the
 * further ids are those that /etc/subuid and /etc/subgid give the caller, if any.
 *
 * Both files are the host's. Nothing blocks but their file system. man 5 subuid. */
#include "runtime/runtime_int.h"

#include "oci/spec.h"

#include <string.h>
#include <unistd.h>

#define MAX_FILE (1 << 20)

/* The next field of a line "a:b:c", cut out of it. */
static char *field(char **rest)
{
	char *s = *rest, *end = s ? strchr(s, ':') : NULL;

	if (end)
		*end++ = '\0';
	*rest = end;
	return s;
}

/* Each line to fn, until it returns true. A file that is not there has none. */
static void each_line(const char *path, bool (*fn)(char *line, void *user), void *user)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(MAX_FILE);
	char *line, *next;

	if (skf_read_file_at(AT_FDCWD, path, MAX_FILE, &b) < 0)
		return;
	(void)skf_buf_cstr(&b); /* ends it */
	for (line = b.p; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (fn(line, user))
			return;
	}
}

struct search {
	uint32_t uid;
	char name[256], number[16]; /* of the caller; name may be empty */
	struct skf_idmap *map;      /* what was found */
	bool found;
};

static bool take_name(char *line, void *user)
{
	struct search *x = user;
	char *rest = line, *name = field(&rest), *uid;
	uint32_t n;

	(void)field(&rest); /* the password */
	uid = field(&rest);
	if (!uid || skf_parse_u32(uid, &n) < 0 || n != x->uid)
		return false;
	if (skf_fmt(x->name, sizeof(x->name), "%s", name) < 0)
		x->name[0] = '\0'; /* then only its number is looked for */
	return true;
}

static bool take_range(char *line, void *user)
{
	struct search *x = user;
	char *rest = line, *who = field(&rest), *from = field(&rest), *size = field(&rest);
	uint32_t start, n;

	if (!from || !size || !*who || (!skf_streq(who, x->name) && !skf_streq(who, x->number)) ||
	    skf_parse_u32(from, &start) < 0 || skf_parse_u32(size, &n) < 0 || n == 0)
		return false;
	*x->map = (struct skf_idmap){.container_id = 1, .host_id = start, .size = n};
	x->found = true;
	return true;
}

/* Container 0 is id; what `file` gives the caller follows. */
static int fill(struct skf_start *s, struct search *x, const char *file, uint32_t id, struct skf_jarr *ret)
{
	struct skf_idmap *m = skf_arena_array(s->arena, 2, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m[0] = (struct skf_idmap){.container_id = 0, .host_id = id, .size = 1};
	x->map = &m[1];
	x->found = false;
	each_line(file, take_range, x);
	*ret = (struct skf_jarr){m, x->found ? 2 : 1};
	return 0;
}

int skf_idmap_default(struct skf_start *s, struct skf_err *e)
{
	struct search x = {.uid = geteuid()};
	struct skf_spec *spec;
	int r;

	if (s->spec->linux_.uid_mappings.n || s->spec->linux_.gid_mappings.n)
		return 0;
	spec = skf_arena_alloc(s->arena, sizeof(*spec));
	if (!spec)
		return skf_nomem(e);
	*spec = *s->spec;
	each_line("/etc/passwd", take_name, &x);
	r = skf_fmt(x.number, sizeof(x.number), "%u", x.uid);
	if (r == 0)
		r = fill(s, &x, "/etc/subuid", x.uid, &spec->linux_.uid_mappings);
	if (r == 0)
		r = fill(s, &x, "/etc/subgid", getegid(), &spec->linux_.gid_mappings);
	if (r < 0)
		return skf_fail_sys(e, r, "default id mappings of container '%s'", s->req->id);
	skf_debug(s->rt->log,
		  "config.json: /linux/uidMappings: a new user namespace without mappings: container root "
		  "is uid %u, "
		  "with %zu and %zu ranges",
		  x.uid, spec->linux_.uid_mappings.n, spec->linux_.gid_mappings.n);
	s->spec = spec;
	return 0;
}
