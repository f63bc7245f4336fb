/* cli/cmd_image_sync.c -- skiff image sync: many images to one place, with skopeo's words. The source is a
 * repository (all its tags), a directory of dir: images, or skopeo's YAML list; the destination a registry
 * or a directory. What it comes to is a list of single copies, done one after the other. */
#include "cli/cli_int.h"
#include "cli/semver.h"
#include <dirent.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAX_DEPTH 32

struct sync {
	struct skf_cli *c;
	const char *dest;
	bool to_dir;
	unsigned done, failed;
};

/* --- one image --- */
/* Where an image goes: behind the last part of its repository's name, or with --scoped behind all of it. */
static char *target(struct sync *s, const struct skf_ref *ref)
{
	const char *slash = strrchr(ref->repo, '/'), *name = slash ? slash + 1 : ref->repo;
	const char *sep = ref->tag[0] ? ":" : "@", *which = ref->tag[0] ? ref->tag : ref->digest.s;

	if (s->c->o.scoped)
		name = skf_arena_fmt(&s->c->a, "%s/%s", ref->registry, ref->repo);
	if (!name)
		return NULL;
	/* the host's port must not look like a tag in the destination's repository */
	if (s->c->o.scoped && !s->to_dir) {
		char *copy = skf_arena_strdup(&s->c->a, name);
		char *colon = copy ? strchr(copy, ':') : NULL;

		if (colon)
			*colon = '-';
		name = copy;
	}
	return name ? skf_arena_fmt(&s->c->a, "%s%s/%s%s%s", s->to_dir ? "dir:" : "docker://", s->dest, name,
				    sep, which)
		    : NULL;
}

static int make_parent(struct sync *s, const char *dest)
{
	char *path = skf_arena_strdup(&s->c->a, dest + strlen("dir:"));
	SKF_AUTO_FD int fd = -EBADF;

	if (!path)
		return skf_fail(&s->c->e, SKF_ENOMEM, "memory for a path");
	*strrchr(path, '/') = '\0'; /* there is one: the destination, then the name */
	fd = skf_mkdirs_at(AT_FDCWD, path, 0755);
	return fd < 0 ? skf_fail_sys(&s->c->e, fd, "make the directory '%s'", path) : 0;
}

static int copy(struct sync *s, const char *src, const char *dest)
{
	SKF_AUTO(skf_cli_place_done)
	struct skf_cli_place from = {.fd = -EBADF, .o.fd = -EBADF}, to = {.fd = -EBADF, .o.fd = -EBADF};
	struct skf_copy_req q = SKF_REQ(struct skf_copy_req);
	struct skf_cli_progress p;
	struct skf_digest d;
	int r;

	if ((s->to_dir && make_parent(s, dest) < 0) || skf_cli_place_open(s->c, src, false, &from) < 0 ||
	    skf_cli_place_open(s->c, dest, true, &to) < 0)
		return -1;
	q.src = from.p;
	q.dest = to.p;
	q.all = s->c->o.all;
	q.preserve = s->c->o.preserve_digests;
	q.level = -1;
	if (skf_cli_family(s->c, &q.as) < 0)
		return -1;
	skf_cli_progress_init(&p, stderr, s->c->o.quiet);
	r = skf_engine_copy(s->c->g, &q, &p.p, &d, &s->c->e);
	skf_cli_progress_done(&p);
	return r;
}

static int sync_one(struct sync *s, const char *src, const struct skf_ref *ref)
{
	char *dest = target(s, ref);
	int r = 0;

	if (!dest)
		return skf_fail(&s->c->e, SKF_ENOMEM, "memory for a name");
	printf("%s%s -> %s\n", s->c->o.dry_run ? "Would have copied: " : "Copying: ", src, dest);
	fflush(stdout);
	if (!s->c->o.dry_run)
		r = copy(s, src, dest);
	s->done += r == 0;
	if (r == 0 || !s->c->o.keep_going)
		return r;
	skf_cli_error(&s->c->e);
	skf_err_clear(&s->c->e);
	s->failed++;
	return 0;
}

static int sync_reference(struct sync *s, const char *name)
{
	char *src = skf_arena_fmt(&s->c->a, "docker://%s", name);
	struct skf_ref ref;

	if (!src)
		return skf_fail(&s->c->e, SKF_ENOMEM, "memory for a name");
	return skf_ref_parse(name, &ref, &s->c->e) < 0 ? -1 : sync_one(s, src, &ref);
}

/* --- from a registry --- */
/* The tags of a repository that fit; re NULL: all. */
/* Which tags of a repository; both NULL: all. */
struct tag_rule {
	const regex_t *re;
	const char *versions;
};

static int sync_tags(struct sync *s, const char *repo, const struct tag_rule *rule)
{
	struct skf_strv tags = {0};
	int r = skf_cli_remote_tags(s->c, repo, false, &tags);

	for (size_t i = 0; r == 0 && i < tags.n; i++) {
		char *name = skf_arena_fmt(&s->c->a, "%s:%s", repo, tags.v[i]);

		if (!name)
			return skf_fail(&s->c->e, SKF_ENOMEM, "memory for a name");
		if ((!rule->re || regexec(rule->re, tags.v[i], 0, NULL, 0) == 0) &&
		    (!rule->versions || skf_semver_fits(rule->versions, tags.v[i])))
			r = sync_reference(s, name);
	}
	return r;
}

static int from_registry(struct sync *s, const char *word)
{
	const char *slash = strrchr(word, '/');

	return strpbrk(slash ? slash : word, ":@") ? sync_reference(s, word)
						   : sync_tags(s, word, &(struct tag_rule){NULL, NULL});
}

/* --- from a directory --- */
/* Every directory below `path` that is a dir: image; its name is what lies between. */
static int from_dir(struct sync *s, const char *path, const char *name, int depth)
{
	char *manifest = skf_arena_fmt(&s->c->a, "%s/manifest.json", path);
	SKF_AUTO_DIR DIR *d = NULL;
	struct skf_ref ref;
	int r = 0;

	if (!manifest || depth > MAX_DEPTH)
		return skf_fail(&s->c->e, SKF_ELIMIT, "'%s' is nested too deeply", path);
	if (*name && access(manifest, F_OK) == 0) {
		char *src = skf_arena_fmt(&s->c->a, "dir:%s", path);

		if (!src)
			return skf_fail(&s->c->e, SKF_ENOMEM, "memory for a name");
		return skf_ref_parse(name, &ref, &s->c->e) < 0 ? -1 : sync_one(s, src, &ref);
	}
	d = opendir(path);
	if (!d)
		return skf_fail_sys(&s->c->e, -errno, "open the directory '%s'", path);
	for (const struct dirent *de; r == 0 && (de = readdir(d));) {
		char *sub, *below;

		if (de->d_name[0] == '.' || (de->d_type != DT_DIR && de->d_type != DT_UNKNOWN))
			continue;
		sub = skf_arena_fmt(&s->c->a, "%s/%s", path, de->d_name);
		below = skf_arena_fmt(&s->c->a, "%s%s%s", name, *name ? "/" : "", de->d_name);
		r = sub && below ? from_dir(s, sub, below, depth + 1)
				 : skf_fail(&s->c->e, SKF_ENOMEM, "memory for a name");
	}
	return r;
}

/* --- from a list --- */
static struct json_object *get(struct json_object *o, const char *k, enum json_type type)
{
	struct json_object *v = NULL;

	return json_object_object_get_ex(o, k, &v) && json_object_is_type(v, type) ? v : NULL;
}

static int list_images(struct sync *s, const char *host, struct json_object *images)
{
	json_object_object_foreach(images, repo, tags)
	{
		char *name = skf_arena_fmt(&s->c->a, "%s/%s", host, repo);
		size_t n = json_object_is_type(tags, json_type_array) ? json_object_array_length(tags) : 0;

		if (!name || (!n && sync_tags(s, name, &(struct tag_rule){NULL, NULL}) < 0))
			return name ? -1 : skf_fail(&s->c->e, SKF_ENOMEM, "memory for a name");
		for (size_t i = 0; i < n; i++) {
			const char *tag = json_object_get_string(json_object_array_get_idx(tags, i));
			char *full = skf_arena_fmt(&s->c->a, "%s%s%s", name,
						   skf_digest_skip_alg(tag) != tag ? "@" : ":", tag);

			if (!full || sync_reference(s, full) < 0)
				return full ? -1 : skf_fail(&s->c->e, SKF_ENOMEM, "memory for a name");
		}
	}
	return 0;
}

static int list_regex(struct sync *s, const char *host, struct json_object *images)
{
	json_object_object_foreach(images, repo, pattern)
	{
		char *name = skf_arena_fmt(&s->c->a, "%s/%s", host, repo);
		const char *text = json_object_get_string(pattern);
		regex_t re;
		int r;

		if (!name || !text || regcomp(&re, text, REG_EXTENDED | REG_NOSUB) != 0)
			return skf_fail(&s->c->e, SKF_EINVALID, "'%s': '%.100s' is no regular expression",
					repo, text ? text : "");
		r = sync_tags(s, name, &(struct tag_rule){&re, NULL});
		regfree(&re);
		if (r < 0)
			return -1;
	}
	return 0;
}

static int list_versions(struct sync *s, const char *host, struct json_object *images)
{
	json_object_object_foreach(images, repo, condition)
	{
		const char *text = json_object_is_type(condition, json_type_string)
					   ? json_object_get_string(condition)
					   : "";
		char *name = skf_arena_fmt(&s->c->a, "%s/%s", host, repo);

		if (!name)
			return skf_fail(&s->c->e, SKF_ENOMEM, "memory for a name");
		if (skf_semver_check(text, &s->c->e) < 0)
			return skf_ctx(&s->c->e, "images-by-semver of '%s/%s'", host, repo);
		if (sync_tags(s, name, &(struct tag_rule){NULL, text}) < 0)
			return -1;
	}
	return 0;
}

/* One registry of the list; its credentials and certificates are for it alone. */
static int list_registry(struct sync *s, const char *host, struct json_object *o)
{
	struct skf_cli_opts *opts = &s->c->o, saved = *opts;
	struct json_object *images = get(o, "images", json_type_object),
			   *regex = get(o, "images-by-tag-regex", json_type_object);
	struct json_object *versions = get(o, "images-by-semver", json_type_object);
	struct json_object *creds = get(o, "credentials", json_type_object), *v;
	int r;

	if (creds && get(creds, "username", json_type_string)) {
		opts->src_username = skf_arena_strdup(
			&s->c->a, json_object_get_string(get(creds, "username", json_type_string)));
		v = get(creds, "password", json_type_string);
		opts->src_password = skf_arena_strdup(&s->c->a, v ? json_object_get_string(v) : "");
		opts->src_creds = NULL;
	}
	if ((v = get(o, "tls-verify", json_type_string)) && skf_streq(json_object_get_string(v), "false"))
		opts->src_tls_verify = false;
	if ((v = get(o, "cert-dir", json_type_string)))
		opts->src_cert_dir = skf_arena_strdup(&s->c->a, json_object_get_string(v));
	r = images ? list_images(s, host, images) : 0;
	if (r == 0 && regex)
		r = list_regex(s, host, regex);
	if (r == 0 && versions)
		r = list_versions(s, host, versions);
	*opts = saved;
	return r;
}

static int from_list(struct sync *s, const char *path)
{
	SKF_AUTO(skf_buf_done) struct skf_buf text = SKF_BUF(SKF_MAX_OBJECT_BYTES * 8);
	SKF_AUTO_FD int fd = skf_openat(AT_FDCWD, path, O_RDONLY, 0);
	struct json_object *doc;
	int r = 0;

	if (fd < 0)
		return skf_fail_sys(&s->c->e, fd, "open '%s'", path);
	if (skf_engine_yaml(s->c->g, fd, &text, &s->c->e) < 0)
		return skf_ctx(&s->c->e, "'%s'", path);
	doc = json_tokener_parse(skf_buf_cstr(&text));
	if (!doc)
		return skf_fail(&s->c->e, SKF_ECORRUPT, "the answer about '%s' is no JSON", path);
	json_object_object_foreach(doc, host, o)
	{
		r = json_object_is_type(o, json_type_object)
			    ? list_registry(s, host, o)
			    : skf_fail(&s->c->e, SKF_EINVALID, "'%s': expected a mapping", host);
		if (r < 0)
			break;
	}
	json_object_put(doc);
	return r;
}

int skf_cmd_image_sync(struct skf_cli *c)
{
	struct sync s = {.c = c, .dest = c->args.v[1], .to_dir = skf_streq(c->o.dest_kind, "dir")};
	const char *kind = c->o.src_kind, *src = c->args.v[0];
	int r = -1;

	if (!kind || !c->o.dest_kind)
		skf_fail(&c->e, SKF_EINVALID,
			 "image sync wants --src (docker, dir or yaml) and --dest (docker or dir)");
	else if (!s.to_dir && !skf_streq(c->o.dest_kind, "docker"))
		skf_fail(&c->e, SKF_EINVALID,
			 "invalid argument \"%s\" for \"--dest\": expected docker or dir", c->o.dest_kind);
	else if (skf_streq(kind, "yaml") && c->o.src_token)
		skf_fail(&c->e, SKF_EINVALID,
			 "--src-registry-token is for one registry, and a list may name several");
	else if (skf_cli_engine(c) == 0)
		r = skf_streq(kind, "docker") ? from_registry(&s, src)
		    : skf_streq(kind, "dir")  ? from_dir(&s, src, "", 0)
		    : skf_streq(kind, "yaml")
			    ? from_list(&s, src)
			    : skf_fail(&c->e, SKF_EINVALID,
				       "invalid argument \"%s\" for \"--src\": expected docker, dir or yaml",
				       kind);
	if (r < 0)
		return skf_cli_fail(c, 1);
	printf("%s%u image%s\n", c->o.dry_run ? "Would have synced " : "Synced ", s.done,
	       s.done == 1 ? "" : "s");
	if (s.failed)
		fprintf(stderr, "skiff: %u image%s failed.\n", s.failed, s.failed == 1 ? "" : "s");
	return s.failed ? 1 : 0;
}
