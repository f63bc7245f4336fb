/* engine/plan_userns.c -- the user namespace of a container: --userns, --uidmap, --gidmap, --subuidname,
 * --subgidname in podman's words, for root. What needs the other containers (auto) is decided when the
 * container is made: userns_take.c. */
#include "engine/create_int.h"
#include "engine/subid.h"
#include "sys/path.h"
#include "engine/pod_int.h"
#include <fcntl.h>
#include <string.h>

#define MAX_USERDB (4u << 20)

static int add_map(struct skf_plan *p, struct skf_jarr *to, size_t *cap, const struct skf_idmap *m,
		   struct skf_err *e)
{
	return skf_plan_push(p, &to->v, &to->n, cap, m, sizeof(*m), e);
}

static int check_maps(const char *flag, const struct skf_jarr *maps, struct skf_err *e)
{
	int r = maps->n > SKF_MAX_IDMAPS ? -E2BIG : skf_idmap_check(maps);

	if (r == -E2BIG)
		return skf_fail(e, SKF_ELIMIT, "%s: %zu ranges, the kernel takes %d", flag, maps->n,
				SKF_MAX_IDMAPS);
	if (r == -EEXIST)
		return skf_fail(e, SKF_EINVALID, "%s: an id is mapped twice", flag);
	return r < 0 ? skf_fail(e, SKF_EINVALID, "%s: a range is empty or ends beyond the last id", flag)
		     : 0;
}

/* "[ug]CONTAINER:HOST[:SIZE]"; podman's @ before HOST says that it is the host's id, which for root it
 * always is. */
static int parse_map(const char *flag, const char *word, struct skf_idmap *ret, bool *uid, bool *gid,
		     struct skf_err *e)
{
	size_t flags = strspn(word, "ug+");
	char text[64], *host, *size;

	*uid = memchr(word, 'u', flags) || !memchr(word, 'g', flags);
	*gid = memchr(word, 'g', flags) || !memchr(word, 'u', flags);
	if (memchr(word, '+', flags))
		return skf_fail(
			e, SKF_EUNSUPPORTED,
			"%s %s: the flag + extends the map of a plain user; root gives the whole map", flag,
			word);
	if (skf_fmt(text, sizeof(text), "%s", word + flags) < 0)
		return skf_fail(e, SKF_EINVALID, "%s: '%.60s...' is too long", flag, word);
	host = strchr(text, ':');
	size = host ? strchr(host + 1, ':') : NULL;
	if (host)
		*host++ = '\0';
	if (size)
		*size++ = '\0';
	if (host && *host == '@')
		host++;
	ret->size = 1;
	if (!host || skf_parse_u32(text, &ret->container_id) < 0 || skf_parse_u32(host, &ret->host_id) < 0 ||
	    (size && skf_parse_u32(size, &ret->size) < 0))
		return skf_fail(e, SKF_EINVALID, "%s: invalid mapping '%s': expected CONTAINER:HOST[:SIZE]",
				flag, word);
	return 0;
}

static int maps_of_flags(struct skf_plan *p, struct skf_err *e)
{
	const struct skf_settings *s = &p->q->s;
	const struct {
		const char *flag;
		const struct skf_strv *v;
		bool gids;
	} from[] = {{"--uidmap", &s->uidmap, false}, {"--gidmap", &s->gidmap, true}};
	size_t caps[2] = {0, 0};

	for (size_t k = 0; k < SKF_ARRAY_LEN(from); k++)
		for (size_t i = 0; i < from[k].v->n; i++) {
			struct skf_idmap m;
			bool uid, gid;

			if (parse_map(from[k].flag, from[k].v->v[i], &m, &uid, &gid, e) < 0)
				return -1;
			/* Of one flag alone podman takes both maps. */
			if ((from[k].gids ? !s->uidmap.n && uid : uid) &&
			    add_map(p, &p->gen.ids.uids, &caps[0], &m, e) < 0)
				return -1;
			if ((from[k].gids ? gid : !s->gidmap.n && gid) &&
			    add_map(p, &p->gen.ids.gids, &caps[1], &m, e) < 0)
				return -1;
		}
	return check_maps("--uidmap", &p->gen.ids.uids, e) < 0 ? -1
							       : check_maps("--gidmap", &p->gen.ids.gids, e);
}

/* All ranges of a name, one after the other from the container's 0 on. */
static int maps_of_name(struct skf_plan *p, const char *file, const char *name, struct skf_jarr *ret,
			struct skf_err *e)
{
	struct skf_jarr ranges;
	int r = skf_subid_read(file, name, p->a, &ranges);
	const struct skf_range *v;
	struct skf_idmap m = {0};
	size_t cap = 0;

	if (r == -ENOENT)
		return skf_fail(e, SKF_ENOTFOUND, "no ranges of ids found for user \"%s\" in %s", name,
				file);
	if (r < 0)
		return skf_fail_sys(e, r, "read '%s'", file);
	v = ranges.v;
	for (size_t i = 0; i < ranges.n; i++) {
		m.container_id += m.size;
		m.host_id = v[i].start;
		m.size = v[i].size;
		if (add_map(p, ret, &cap, &m, e) < 0)
			return -1;
	}
	return check_maps(file, ret, e);
}

static int maps_of_names(struct skf_plan *p, struct skf_err *e)
{
	const struct skf_settings *s = &p->q->s;
	const char *u = s->subuidname && *s->subuidname ? s->subuidname : s->subgidname;
	const char *g = s->subgidname && *s->subgidname ? s->subgidname : s->subuidname;

	return maps_of_name(p, "/etc/subuid", u, &p->gen.ids.uids, e) < 0
		       ? -1
		       : maps_of_name(p, "/etc/subgid", g, &p->gen.ids.gids, e);
}

/* --- modes --- */

/* "KEY=VALUE,..." of auto and keep-id: each to its function. */
struct opt {
	const char *key;
	int (*take)(struct skf_plan *p, const char *mode, const char *value, struct skf_err *e);
};
static int options(struct skf_plan *p, const char *mode, const char *words, const struct opt *opts,
		   struct skf_err *e)
{
	while (*words) {
		size_t n = strcspn(words, ","), k = strcspn(words, "=");
		char *value = k < n ? skf_arena_dup(p->a, words + k + 1, n - k - 1) : NULL;
		const struct opt *o = opts;

		while (o->key && !(k < n && strlen(o->key) == k && memcmp(o->key, words, k) == 0))
			o++;
		if (!o->key)
			return skf_fail(e, SKF_EINVALID, "--userns=%s: unknown option '%.*s'", mode, (int)n,
					words);
		if (!value)
			return skf_plan_no_memory(e);
		if (o->take(p, mode, value, e) < 0)
			return -1;
		words += n + (words[n] == ',');
	}
	return 0;
}

static int take_size(struct skf_plan *p, const char *mode, const char *value, struct skf_err *e)
{
	if (skf_parse_u32(value, &p->userns.size) == 0 && p->userns.size > 0)
		return 0;
	return skf_fail(e, SKF_EINVALID, "--userns=%s: invalid size '%s': expected a number of ids", mode,
			value);
}

static int take_mapping(struct skf_plan *p, const char *mode, const char *value, struct skf_jarr *to,
			struct skf_err *e)
{
	struct skf_idmap m;
	bool uid, gid;
	size_t cap = to->n; /* full: the array is copied */

	return parse_map(mode, value, &m, &uid, &gid, e) < 0 || add_map(p, to, &cap, &m, e) < 0
		       ? -1
		       : check_maps(mode, to, e);
}

static int take_uidmapping(struct skf_plan *p, const char *mode, const char *value, struct skf_err *e)
{
	return take_mapping(p, mode, value, &p->gen.ids.uids, e);
}

static int take_gidmapping(struct skf_plan *p, const char *mode, const char *value, struct skf_err *e)
{
	return take_mapping(p, mode, value, &p->gen.ids.gids, e);
}

static int mode_auto(struct skf_plan *p, const char *words, struct skf_err *e)
{
	static const struct opt opts[] = {{"size", take_size},
					  {"uidmapping", take_uidmapping},
					  {"gidmapping", take_gidmapping},
					  {NULL, NULL}};

	p->userns.is_auto = true;
	return options(p, "auto", words, opts, e);
}

static int take_number(const char *mode, const char *key, const char *value, uint32_t *ret,
		       struct skf_err *e)
{
	return skf_parse_u32(value, ret) == 0
		       ? 0
		       : skf_fail(e, SKF_EINVALID, "--userns=%s: invalid %s '%s': expected a number", mode,
				  key, value);
}

static int set_user(struct skf_plan *p, struct skf_err *e)
{
	p->userns.user = skf_arena_fmt(p->a, "%u:%u", p->userns.uid, p->userns.gid);
	return p->userns.user ? 0 : skf_plan_no_memory(e);
}

static int take_uid(struct skf_plan *p, const char *mode, const char *value, struct skf_err *e)
{
	return take_number(mode, "uid", value, &p->userns.uid, e) < 0 ? -1 : set_user(p, e);
}

static int take_gid(struct skf_plan *p, const char *mode, const char *value, struct skf_err *e)
{
	return take_number(mode, "gid", value, &p->userns.gid, e) < 0 ? -1 : set_user(p, e);
}

/* For root: all ids that we have, each as itself, in a namespace of its own. */
static int own_map(struct skf_plan *p, const char *file, struct skf_jarr *ret, struct skf_err *e)
{
	int r = skf_idmap_read_proc(file, p->a, ret);
	struct skf_idmap *m = ret->v;

	if (r < 0)
		return skf_fail_sys(e, r, "read '%s'", file);
	for (size_t i = 0; i < ret->n; i++)
		m[i].host_id = m[i].container_id;
	return 0;
}

static int mode_keep_id(struct skf_plan *p, const char *words, struct skf_err *e)
{
	static const struct opt opts[] = {{"uid", take_uid}, {"gid", take_gid}, {NULL, NULL}};

	if (options(p, "keep-id", words, opts, e) < 0 ||
	    own_map(p, "/proc/self/uid_map", &p->gen.ids.uids, e) < 0)
		return -1;
	return own_map(p, "/proc/self/gid_map", &p->gen.ids.gids, e);
}

static int mode_nomap(struct skf_plan *p, const char *words, struct skf_err *e)
{
	(void)p;
	(void)words;
	return skf_fail(e, SKF_EINVALID,
			"--userns=nomap is only for a plain user: it leaves out the caller's own id, which "
			"for root is that of the "
			"container's root; --userns=auto maps none of the host's users");
}

static int mode_path(struct skf_plan *p, const char *path, struct skf_err *e)
{
	if (path[0] != '/')
		return skf_fail(e, SKF_EINVALID,
				"--userns=ns:%s: expected the absolute path of a user namespace", path);
	p->gen.ns[SKF_NS_USER].path = path;
	p->userns.path = true;
	return 0;
}

/* A container of --userns=ns:PATH, which has no maps before its first start. */
static int by_path(struct skf_plan *p, const char *id, bool *ret, struct skf_err *e)
{
	struct skf_ctr_request *q;
	struct skf_ctrconf *c;

	if (skf_ctr_load(p->g, id, p->a, &c, e) < 0 || skf_ctr_request_parse(c->request, p->a, &q, e) < 0)
		return -1;
	*ret = q->s.userns && skf_startswith(q->s.userns, "ns:");
	return 0;
}

/* The maps are copied: they cannot change, and the files of both containers belong to the same ids. */
static int mode_container(struct skf_plan *p, const char *name, struct skf_err *e)
{
	char id[SKF_ID_LEN + 1], *word;
	SKF_AUTO_FD int dir = -EBADF;
	bool path = false;
	int r;

	if (skf_engine_resolve(p->g, name, id, e) < 0)
		return skf_ctx(e, "--userns container:%s", name);
	if (skf_ctr_open_dir(p->g, id, &dir, e) < 0)
		return -1;
	r = skf_idmaps_read_at(dir, p->a, &p->gen.ids);
	if (r < 0)
		return skf_fail_sys(e, r, "read '%s/containers/%s/" SKF_IDS_FILE "'", p->g->root, id);
	if (r == 0 && by_path(p, id, &path, e) < 0)
		return -1;
	if (r == 0 && path)
		return skf_fail(e, SKF_EINVALID,
				"--userns=container:%s: which ids the user namespace of that container has "
				"is known once it was started: start it first",
				name);
	if (r == 0)
		return 1; /* the host's, as it has */
	word = skf_arena_fmt(p->a, "user=%s", id);
	return !word || skf_strv_add(p->a, &p->conf.joins, word) < 0 ? skf_plan_no_memory(e) : 0;
}

/* Which kind of argument follows the word. */
static const struct mode {
	const char *word;
	enum { NOTHING, OPTIONS, ARGUMENT } after;
	int (*fn)(struct skf_plan *p, const char *words,
		  struct skf_err *e); /* NULL: the host's. 1: the host's after all */
} modes[] = {
	{"host", NOTHING, NULL},        {"private", NOTHING, mode_auto},
	{"auto", OPTIONS, mode_auto},   {"keep-id", OPTIONS, mode_keep_id},
	{"nomap", NOTHING, mode_nomap}, {"container:", ARGUMENT, mode_container},
	{"ns:", ARGUMENT, mode_path},
};

static int by_mode(struct skf_plan *p, const char *v, struct skf_err *e)
{
	for (size_t i = 0; i < SKF_ARRAY_LEN(modes); i++) {
		size_t n = strlen(modes[i].word);
		const char *rest = v + n;
		int r;

		if (!skf_startswith(v, modes[i].word) || (modes[i].after == NOTHING && *rest) ||
		    (modes[i].after == ARGUMENT && !*rest) ||
		    (modes[i].after == OPTIONS && *rest && *rest != ':'))
			continue;
		if (!modes[i].fn)
			return 0;
		r = modes[i].fn(p, rest + (modes[i].after == OPTIONS && *rest), e);
		p->gen.ns[SKF_NS_USER].on = r == 0;
		return r < 0 ? -1 : 0;
	}
	return skf_fail(e, SKF_EINVALID,
			"--userns: invalid user namespace mode '%s': expected host, private, "
			"auto[:size=,uidmapping=,gidmapping=], "
			"keep-id[:uid=,gid=], nomap, container:NAME or ns:PATH",
			v);
}

/* A namespace that this container's user namespace owns only when both came from the same container or pod.
 */
static void note_borrowed(struct skf_plan *p)
{
	static const struct {
		enum skf_gen_ns_kind kind;
		uint32_t share;
	} kinds[] = {{SKF_NS_PID, SKF_POD_PID},
		     {SKF_NS_IPC, SKF_POD_IPC},
		     {SKF_NS_UTS, SKF_POD_UTS},
		     {SKF_NS_NET, SKF_POD_NET}};
	const struct skf_settings *s = &p->q->s;
	const char *words[SKF_N_NS] = {[SKF_NS_PID] = s->pid,
				       [SKF_NS_IPC] = s->ipc,
				       [SKF_NS_UTS] = s->uts,
				       [SKF_NS_NET] = p->conf.network};

	for (size_t i = 0; i < SKF_ARRAY_LEN(kinds); i++) {
		const char *w = words[kinds[i].kind];
		bool of_container = w && skf_startswith(w, "container:"),
		     of_pod = p->pod && p->pod->share & kinds[i].share;

		p->gen.ns[kinds[i].kind].borrowed =
			(of_container && !(s->userns && skf_streq(s->userns, w))) ||
			(of_pod && !p->pod->userns);
	}
}

static int of_pod(struct skf_plan *p, struct skf_err *e)
{
	SKF_AUTO_FD int dir = -EBADF;
	int r;

	if (skf_pod_dir(p->g, p->pod->id, &dir, e) < 0)
		return -1;
	r = skf_idmaps_read_at(dir, p->a, &p->gen.ids);
	if (r <= 0)
		return skf_fail_sys(e, r < 0 ? r : -ENOENT, "read the id maps of pod '%s'", p->pod->name);
	p->gen.ns[SKF_NS_USER].on = true;
	return 0;
}

int skf_plan_userns(struct skf_plan *p, struct skf_err *e)
{
	const struct skf_settings *s = &p->q->s;
	bool maps = s->uidmap.n || s->gidmap.n,
	     names = (s->subuidname && *s->subuidname) || (s->subgidname && *s->subgidname);
	const char *mode = s->userns && *s->userns ? s->userns : NULL;

	if ((maps || names) && mode && !skf_streq(mode, "private"))
		return skf_fail(e, SKF_EINVALID, "--userns=%s and --%s are mutually exclusive", mode,
				maps ? "uidmap" : "subuidname");
	if (maps && names)
		return skf_fail(e, SKF_EINVALID, "--uidmap and --subuidname are mutually exclusive");
	note_borrowed(p);
	if (p->pod && p->pod->userns) {
		if (mode || maps || names)
			return skf_fail(e, SKF_EINVALID,
					"invalid configuration of a container in pod '%s': its user "
					"namespace is the pod's; --userns and --pod cannot be set together",
					p->pod->name);
		return of_pod(p, e);
	}
	if (!maps && !names)
		return by_mode(p, mode ? mode : p->g->conf.userns, e);
	p->gen.ns[SKF_NS_USER].on = true;
	p->req.s.userns = (char *)"private";
	return maps ? maps_of_flags(p, e) : maps_of_names(p, e);
}

/* --- how many ids the image's users need --- */

/* Highest id in the fields `first` and, when not 0, `second` of a passwd or group file; nobody's does not
 * count. */
static uint32_t highest_of(const struct skf_layered *l, const char *path, bool passwd)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(MAX_USERDB);
	SKF_AUTO_FD int fd = skf_layered_open_file(l, path);
	char *save = NULL, self[32];
	uint32_t top = 0, id;

	if (fd < 0)
		return 0;
	skf_path_of_fd(fd, self);
	if (skf_read_file_at(AT_FDCWD, self, MAX_USERDB, &b) < 0 || !b.len)
		return 0; /* as if it were absent: size= helps where that is not enough */
	for (char *line = strtok_r(b.p, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *at = line;

		if (skf_startswith(line, "nobody:") || skf_startswith(line, "nogroup:"))
			continue;
		for (unsigned field = 0; at && field < 4; field++) {
			char *word = strsep(&at, ":");

			if ((field == 2 || (field == 3 && passwd)) && skf_parse_u32(word, &id) == 0 &&
			    id > top && id < UINT32_MAX)
				top = id;
		}
	}
	return top;
}

/* The kernel would only say EINVAL. */
static int check_user(struct skf_plan *p, struct skf_err *e)
{
	const struct skf_gen_process *x = &p->gen.process;
	uint32_t ignored;

	if (!skf_idmap_to_host(&p->gen.ids.uids, x->uid, &ignored))
		return skf_fail(e, SKF_EINVALID,
				"user %u of the process is not mapped in its user namespace: map it, or "
				"choose another with --user",
				x->uid);
	if (!skf_idmap_to_host(&p->gen.ids.gids, x->gid, &ignored))
		return skf_fail(e, SKF_EINVALID,
				"group %u of the process is not mapped in its user namespace: map it, or "
				"choose another with --user",
				x->gid);
	for (size_t i = 0; i < x->n_gids; i++)
		if (!skf_idmap_to_host(&p->gen.ids.gids, x->gids[i], &ignored))
			return skf_fail(e, SKF_EINVALID,
					"the user's further group %u is not mapped in its user namespace: "
					"map it, or say --user UID:GID",
					x->gids[i]);
	return 0;
}

int skf_plan_userns_size(struct skf_plan *p, struct skf_err *e)
{
	const struct skf_gen_process *x = &p->gen.process;
	uint32_t top, of_group;

	if (!p->userns.is_auto || p->userns.size)
		return p->userns.is_auto || !p->gen.ids.uids.n ? 0 : check_user(p, e);
	top = highest_of(&p->layers, "/etc/passwd", true);
	of_group = highest_of(&p->layers, "/etc/group", false);
	top = of_group > top ? of_group : top;
	top = x->uid > top ? x->uid : top;
	top = x->gid > top ? x->gid : top;
	for (size_t i = 0; i < x->n_gids; i++)
		top = x->gids[i] > top ? x->gids[i] : top;
	if (top >= (uint64_t)p->g->conf.userns_max_size)
		return skf_fail(e, SKF_ELIMIT,
				"--userns=auto: the image's users go up to id %u, and userns_max_size is "
				"%lld; give --userns=auto:size=",
				top, (long long)p->g->conf.userns_max_size);
	p->userns.size = top + 1 > (uint64_t)p->g->conf.userns_min_size
				 ? top + 1
				 : (uint32_t)p->g->conf.userns_min_size;
	return 0;
}
