/* cli/cmd_registry.c -- push (of several at once: cmd_transfer.c), login, logout, and what is asked of a
 * registry without pulling: inspect --remote, tags, referrers, delete. */
#include "cli/cli_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define HUB          "https://index.docker.io/v1/"
#define SECRET_BYTES 65536
#define MAX_RETRIES  1000
#define MAX_DELAY_NS (3600LL * 1000000000)

/* The delay is a duration ("2s"); a bare number is one of seconds, as podman takes it. */
int skf_cli_retry(struct skf_cli *c, struct skf_registry_how *how)
{
	const char *d = c->o.retry_delay;
	int64_t now = skf_now_ns(), then = now;
	const char *text = d && d[strspn(d, "0123456789")] ? d : skf_arena_fmt(&c->a, "%ss", d ? d : "0");

	if (c->o.retry < 0 && !d)
		return 0;
	if (c->o.retry > MAX_RETRIES)
		return skf_fail(&c->e, SKF_EINVALID, "at most %d retries can be asked for, not %lld",
				MAX_RETRIES, (long long)c->o.retry);
	if (!text || (d && (!*d || skf_human_parse_time(text, now, &then) < 0)) || then > now ||
	    now - then > MAX_DELAY_NS)
		return skf_fail(&c->e, SKF_EINVALID,
				"invalid argument \"%s\" for \"--retry-delay\": expected a duration of at "
				"most an hour",
				d ? d : "");
	how->retry = true;
	how->retries = c->o.retry < 0 ? SKF_HTTP_RETRIES : (uint32_t)c->o.retry;
	how->retry_ms = (uint32_t)((now - then) / 1000000);
	return 0;
}

int skf_cli_how(struct skf_cli *c, struct skf_registry_how *ret)
{
	const char *creds = c->o.dest_creds, *colon = creds ? strchr(creds, ':') : NULL;

	*ret = (struct skf_registry_how){.plain_http = c->o.plain_http,
					 .insecure_tls = !c->o.tls_verify,
					 .certs_dir = c->o.cert_dir,
					 .docker_config = skf_cli_docker_config(c),
					 .auth_file = c->o.authfile,
					 .anonymous = c->o.no_creds,
					 .token = c->o.registry_token};
	if (!!creds + !!ret->token + ret->anonymous > 1)
		return skf_fail(&c->e, SKF_EINVALID,
				"--creds, --no-creds and --registry-token are mutually exclusive");
	if (skf_cli_retry(c, ret) < 0)
		return -1;
	if (!creds)
		return 0;
	ret->user = skf_arena_dup(&c->a, creds, colon ? (size_t)(colon - creds) : strlen(creds));
	ret->password = colon ? colon + 1 : "";
	return ret->user && *ret->user
		       ? 0
		       : skf_fail(&c->e, SKF_EINVALID, "'%s': credentials are USER or USER:PASSWORD", creds);
}

int skf_cli_push_one(struct skf_cli *c, const char *image, const char *dest)
{
	struct skf_push_req q = SKF_REQ(struct skf_push_req);
	struct skf_cli_progress p;
	struct skf_push_ret ret;
	char full[SKF_MAX_REF_BYTES + 1];
	const char *last;
	int r;

	q.image = image;
	q.reference = dest;
	q.chunk = c->o.chunk_size > 0 ? (uint64_t)c->o.chunk_size : 0;
	if (skf_cli_how(c, &q.how) < 0 || skf_cli_engine(c) < 0)
		return skf_cli_fail(c, 1);
	last = strrchr(q.reference ? q.reference : q.image, '/');
	if (!c->o.quiet && !strchr(last ? last : q.reference ? q.reference : q.image, ':'))
		printf("Using default tag: latest\n");
	skf_cli_progress_init(&p, stdout, c->o.quiet);
	p.push = true;
	r = skf_engine_push(c->g, &q, &p.p, &ret, &c->e);
	skf_cli_progress_done(&p);
	if (r < 0 || skf_cli_write_digest(c, &ret.manifest) < 0)
		return skf_cli_fail(c, 1);
	skf_ref_full(&ret.ref, full);
	if (c->o.quiet)
		printf("%s\n", full);
	else
		printf("%s: digest: %s size: %llu\n", ret.ref.tag, ret.manifest.s,
		       (unsigned long long)ret.size);
	return 0;
}

/* --- login --- */
/* Where credentials are kept; the file need not exist yet. */
static const char *config_path(struct skf_cli *c)
{
	const char *dir = getenv("DOCKER_CONFIG"), *home = getenv("HOME");
	const char *path = c->o.authfile;

	if (path)
		return path;
	if (dir && *dir)
		path = skf_arena_fmt(&c->a, "%s/config.json", dir);
	else if (home && *home)
		path = skf_arena_fmt(&c->a, "%s/.docker/config.json", home);
	if (!path)
		skf_fail(&c->e, SKF_EINVALID,
			 "neither DOCKER_CONFIG nor HOME says where credentials are kept");
	return path;
}

/* One line, or all of standard input, without the end of its last line. */
static int read_secret(struct skf_cli *c, bool line, char **ret)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SECRET_BYTES);
	char ch;
	ssize_t n;

	while ((n = read(STDIN_FILENO, &ch, 1)) == 1 && !(line && ch == '\n'))
		skf_buf_chr(&b, ch);
	if (n < 0)
		return skf_fail_sys(&c->e, -errno, "read from standard input");
	while (b.len && (b.p[b.len - 1] == '\n' || b.p[b.len - 1] == '\r'))
		b.p[--b.len] = '\0';
	if (b.err)
		return skf_fail(&c->e, SKF_ELIMIT, "standard input has more than %d bytes", SECRET_BYTES);
	if (b.len && memchr(b.p, 0, b.len))
		return skf_fail(&c->e, SKF_EINVALID,
				"standard input has a zero byte, which no user name or password has");
	*ret = skf_arena_strdup(&c->a, skf_buf_cstr(&b));
	return *ret ? 0 : skf_fail(&c->e, SKF_ENOMEM, "memory for the login");
}

static int ask(struct skf_cli *c, const char *prompt, bool secret, char **ret)
{
	struct termios old, quiet;
	bool hide = secret && tcgetattr(STDIN_FILENO, &old) == 0;
	int r;

	printf("%s", prompt);
	fflush(stdout);
	if (hide) {
		quiet = old;
		quiet.c_lflag &= ~(tcflag_t)ECHO;
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	}
	r = read_secret(c, true, ret);
	if (hide) {
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
		printf("\n");
	}
	return r;
}

static int ask_who(struct skf_cli *c, struct skf_login_req *q)
{
	char *user = c->o.username, *password = c->o.password;

	if (password && c->o.password_stdin)
		return skf_fail(&c->e, SKF_EINVALID,
				"--password and --password-stdin are mutually exclusive");
	if (c->o.password_stdin && !user)
		return skf_fail(&c->e, SKF_EINVALID, "Must provide --username with --password-stdin");
	if (password)
		fprintf(stderr,
			"WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n");
	if (c->o.password_stdin && read_secret(c, false, &password) < 0)
		return -1;
	if ((!user || !password) && !isatty(STDIN_FILENO))
		return skf_fail(&c->e, SKF_EINVALID,
				"Cannot perform an interactive login from a non TTY device");
	if (!user && ask(c, "Username: ", false, &user) < 0)
		return -1;
	if (!password && ask(c, "Password: ", true, &password) < 0)
		return -1;
	if (!*user || !*password)
		return skf_fail(&c->e, SKF_EINVALID, "a user name and a password are needed");
	q->user = user;
	q->password = password;
	return 0;
}

static int tell_login(struct skf_cli *c, struct skf_login_req *q)
{
	SKF_AUTO(skf_buf_done) struct skf_buf text = SKF_BUF(65536);

	q->how.docker_config = config_path(c);
	q->what = c->o.authfile ? 3 : 2;
	if (!q->how.docker_config || skf_cli_engine(c) < 0 || skf_engine_logout(c->g, q, &text, &c->e) < 0)
		return skf_cli_fail(c, 125); /* podman's */
	printf("%s", skf_buf_cstr(&text));
	return 0;
}

int skf_cmd_login(struct skf_cli *c)
{
	struct skf_login_req q = SKF_REQ(struct skf_login_req);
	SKF_AUTO(skf_buf_done) struct skf_buf text = SKF_BUF(65536);

	q.server = c->args.n ? c->args.v[0] : HUB;
	if (c->o.get_login)
		return tell_login(c, &q);
	if (skf_cli_how(c, &q.how) < 0)
		return skf_cli_fail(c, 1);
	q.how.auth_file = NULL;
	q.how.docker_config = config_path(c);
	if (!q.how.docker_config || ask_who(c, &q) < 0 || skf_cli_engine(c) < 0 ||
	    skf_engine_login(c->g, &q, &text, &c->e) < 0)
		return skf_cli_fail(c, 1);
	if (text.len)
		fprintf(stderr, "WARNING! %s", text.p);
	printf("Login Succeeded\n");
	return 0;
}

int skf_cmd_logout(struct skf_cli *c)
{
	struct skf_login_req q = SKF_REQ(struct skf_login_req);
	SKF_AUTO(skf_buf_done) struct skf_buf text = SKF_BUF(65536);

	q.server = c->args.n ? c->args.v[0] : HUB;
	q.what = c->o.all;
	if (c->o.all && c->args.n) {
		skf_fail(&c->e, SKF_EINVALID, "--all takes no arguments");
		return skf_cli_usage(c);
	}
	q.how.docker_config = config_path(c);
	if (!q.how.docker_config || skf_cli_engine(c) < 0 || skf_engine_logout(c->g, &q, &text, &c->e) < 0)
		return skf_cli_fail(c, 1);
	printf("%s", skf_buf_cstr(&text));
	return 0;
}

/* --- questions --- */
static int remote(struct skf_cli *c, enum skf_remote_what what, const char *reference, const char *argument)
{
	struct skf_remote_req q = SKF_REQ(struct skf_remote_req);
	SKF_AUTO(skf_buf_done) struct skf_buf text = SKF_BUF(64u << 20);

	q.what = what;
	q.reference = reference;
	q.argument = argument;
	q.platform = c->o.platform;
	if (skf_cli_how(c, &q.how) < 0 || skf_cli_engine(c) < 0 ||
	    skf_engine_remote(c->g, &q, &text, &c->e) < 0)
		return skf_cli_fail(c, 1);
	fwrite(skf_buf_cstr(&text), 1, text.len, stdout);
	return 0;
}

int skf_cmd_image_tags(struct skf_cli *c)
{
	return remote(c, SKF_REMOTE_TAGS, c->args.v[0], NULL);
}

int skf_cmd_image_referrers(struct skf_cli *c)
{
	return remote(c, SKF_REMOTE_REFERRERS, c->args.v[0], c->o.artifact_type);
}

int skf_cmd_image_delete(struct skf_cli *c)
{
	if (!c->o.remote) {
		skf_fail(&c->e, SKF_EINVALID,
			 "image delete works on a registry and wants --remote; skiff rmi removes an image "
			 "from here");
		return skf_cli_fail(c, 1);
	}
	return remote(c, SKF_REMOTE_DELETE, c->args.v[0], c->o.tag_only ? "tag" : c->o.blob ? "blob" : "");
}

int skf_cmd_image_remote(struct skf_cli *c)
{
	enum skf_remote_what what = c->o.config ? SKF_REMOTE_CONFIG
				    : c->o.raw  ? SKF_REMOTE_RAW
						: SKF_REMOTE_INSPECT;

	if (!c->o.remote && !c->o.raw && !c->o.config)
		return skf_cmd_image_inspect(c);
	for (size_t i = 0; i < c->args.n; i++) {
		int r = remote(c, what, c->args.v[i], c->o.no_tags ? "no-tags" : NULL);

		if (r)
			return r;
	}
	return 0;
}
