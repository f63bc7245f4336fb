/* cli/docker_habits.c -- what docker's own ~/.docker/config.json says of its command line, for commands that
 * are ours, too: detachKeys, the formats of lists, proxies. A flag says it over. A file that is no JSON is a
 * warning, as with docker: it must not keep anybody from `ps`. Its credentials are skiff-image's business;
 * HttpHeaders are for a daemon that does not exist here. */
#include "cli/cli_int.h"
#include <fcntl.h>
#include <string.h>

struct proxies {
	char *http, *https, *ftp, *no, *all;
};
struct all_proxies {
	struct proxies by_default;
};
struct habits {
	char *detach_keys, *ps, *images, *volumes, *networks, *stats, *secrets;
	struct all_proxies proxies;
};
#define P(member, key) SKF_J(struct proxies, member, key, skf_j_str, NULL, SKF_J_NULL_OK)
static const struct skf_jfield proxy_f[] = {P(http, "httpProxy"), P(https, "httpsProxy"), P(ftp, "ftpProxy"),
					    P(no, "noProxy"),     P(all, "allProxy"),     SKF_J_END};
static const struct skf_jtable proxy_table = {sizeof(struct proxies), proxy_f, false, NULL};
static const struct skf_jfield all_f[] = {
	SKF_J(struct all_proxies, by_default, "default", skf_j_obj, &proxy_table, SKF_J_NULL_OK), SKF_J_END};
static const struct skf_jtable all_table = {sizeof(struct all_proxies), all_f, false, NULL};
#define H(member, key) SKF_J(struct habits, member, key, skf_j_str, NULL, SKF_J_NULL_OK)
static const struct skf_jfield habit_f[] = {
	H(detach_keys, "detachKeys"),
	H(ps, "psFormat"),
	H(images, "imagesFormat"),
	H(volumes, "volumesFormat"),
	H(networks, "networksFormat"),
	H(stats, "statsFormat"),
	H(secrets, "secretFormat"),
	SKF_J(struct habits, proxies, "proxies", skf_j_obj, &all_table, SKF_J_NULL_OK),
	SKF_J_END,
};
static const struct skf_jtable habit_table = {sizeof(struct habits), habit_f, false, NULL};

static const struct {
	skf_cmdset cmds;
	size_t from; /* in struct habits */
	bool keys;   /* detach keys, else a format */
} rows[] = {
	{C_RUNONLY | C_EXEC | C_START | C_ATTACH, offsetof(struct habits, detach_keys), true},
	{C_PS, offsetof(struct habits, ps), false},
	{C_IMAGES, offsetof(struct habits, images), false},
	{C_VOLLS, offsetof(struct habits, volumes), false},
	{C_NETLS, offsetof(struct habits, networks), false},
	{C_STATS, offsetof(struct habits, stats), false},
	{C_SECLS, offsetof(struct habits, secrets), false},
};

/* As docker: both spellings of each. */
static int put_proxies(struct skf_cli *c, const struct proxies *p)
{
	const struct {
		const char *upper, *lower, *value;
	} v[] = {{"HTTP_PROXY", "http_proxy", p->http},
		 {"HTTPS_PROXY", "https_proxy", p->https},
		 {"FTP_PROXY", "ftp_proxy", p->ftp},
		 {"NO_PROXY", "no_proxy", p->no},
		 {"ALL_PROXY", "all_proxy", p->all}};

	for (size_t i = 0; i < SKF_ARRAY_LEN(v); i++) {
		char *upper, *lower;

		if (!v[i].value || !*v[i].value)
			continue;
		upper = skf_arena_fmt(&c->a, "%s=%s", v[i].upper, v[i].value);
		lower = skf_arena_fmt(&c->a, "%s=%s", v[i].lower, v[i].value);
		if (!upper || !lower || skf_strv_add(&c->a, &c->o.proxies, upper) < 0 ||
		    skf_strv_add(&c->a, &c->o.proxies, lower) < 0)
			return skf_fail(&c->e, SKF_ENOMEM, "memory for the proxies");
	}
	return 0;
}

int skf_cli_docker_habits(struct skf_cli *c)
{
	const struct skf_jdoc d = {.max_bytes = SKF_MAX_DOCKER_CONFIG_BYTES, .name = "docker's config.json"};
	struct skf_err x = SKF_ERR_INIT;
	const char *path;
	skf_cmdset any = C_RUN;
	const struct habits *h;
	void *v;

	for (size_t i = 0; i < SKF_ARRAY_LEN(rows); i++)
		any |= rows[i].cmds;
	path = c->cmd->bit & any ? skf_cli_docker_config(c) : NULL;
	if (!path)
		return 0;
	if (skf_json_decode_at(&d, AT_FDCWD, path, &habit_table, &c->a, &v, &x) < 0) {
		skf_warn(&c->log, "'%s': %s; ignoring", path, x.msg);
		return 0;
	}
	h = v;
	for (size_t i = 0; i < SKF_ARRAY_LEN(rows); i++) {
		char *word = *(char *const *)(const void *)((const char *)h + rows[i].from),
		     **to = rows[i].keys ? &c->o.detach_keys : &c->o.format;

		if (c->cmd->bit & rows[i].cmds && word && *word && !*to && (rows[i].keys || !c->o.quiet))
			*to = word;
	}
	return c->cmd->bit & C_RUN ? put_proxies(c, &h->proxies.by_default) : 0;
}
