/* cli/place.c -- where an image is copied from or to, as containers-transports(5) writes it. What is a file
 * or directory is opened here, with the user's own rights. */
#include "cli/cli_int.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAEMON_SOCKET "/var/run/docker.sock"

static const struct transport {
	const char *word;
	enum skf_copy_kind kind;
	bool named; /* PATH:NAME; else all of it is the path or the name */
	bool file;  /* an archive */
} transports[] = {
	{"docker://", SKF_COPY_REGISTRY, false, false},
	{"docker-daemon:", SKF_COPY_DAEMON, false, false},
	{"docker-archive:", SKF_COPY_DOCKER_ARCHIVE, true, true},
	{"oci-archive:", SKF_COPY_OCI, true, true},
	{"oci:", SKF_COPY_OCI, true, false},
	{"dir:", SKF_COPY_DIR, false, false},
	{"skiff:", SKF_COPY_STORE, false, false},
};

static const struct transport *find(const char *word)
{
	for (size_t i = 0; i < SKF_ARRAY_LEN(transports); i++)
		if (skf_startswith(word, transports[i].word))
			return &transports[i];
	return NULL;
}

/* "host/...": docker's rule for what is a host. */
static bool has_host(const char *s)
{
	size_t n = strcspn(s, "/");

	return s[n] == '/' &&
	       (memchr(s, '.', n) || memchr(s, ':', n) || (n == 9 && !memcmp(s, "localhost", 9)));
}

/* --- credentials --- */
static int set_creds(struct skf_cli *c, struct skf_copy_place *p, const char *creds, char *user,
		     char *password)
{
	const char *colon = creds ? strchr(creds, ':') : NULL;

	if (creds && user)
		return skf_fail(&c->e, SKF_EINVALID,
				"creds and username of one side are mutually exclusive");
	if (password && !user)
		return skf_fail(&c->e, SKF_EINVALID, "a password needs a user name");
	p->user = user;
	p->password = password;
	if (creds) {
		p->user = skf_arena_dup(&c->a, creds, colon ? (size_t)(colon - creds) : strlen(creds));
		p->password = colon ? colon + 1 : "";
		if (!p->user || !*p->user)
			return skf_fail(&c->e, SKF_EINVALID, "'%s': credentials are USER or USER:PASSWORD",
					creds);
	}
	return 0;
}

static int set_how(struct skf_cli *c, bool dest, struct skf_copy_place *p)
{
	bool verify =
		(dest ? c->o.dest_tls_verify : c->o.src_tls_verify) && c->o.tls_verify && !c->o.insecure;
	char *file = dest ? c->o.dest_authfile : c->o.src_authfile,
	     *certs = dest ? c->o.dest_cert_dir : c->o.src_cert_dir;

	p->how = (struct skf_registry_how){.plain_http = !verify || c->o.plain_http,
					   .insecure_tls = !verify,
					   .certs_dir = certs ? certs : c->o.cert_dir,
					   .docker_config = skf_cli_docker_config(c),
					   .token = dest ? c->o.dest_token : c->o.src_token};
	p->auth_file = file ? file : c->o.authfile;
	p->anonymous = dest ? c->o.dest_no_creds : c->o.src_no_creds;
	if (skf_cli_retry(c, &p->how) < 0)
		return -1;
	if (p->how.token && (p->anonymous || (dest ? c->o.dest_creds : c->o.src_creds) ||
			     (dest ? c->o.dest_username : c->o.src_username)))
		return skf_fail(&c->e, SKF_EINVALID,
				"registry-token and other credentials of one side are mutually exclusive");
	return set_creds(c, p, dest ? c->o.dest_creds : c->o.src_creds,
			 dest ? c->o.dest_username : c->o.src_username,
			 dest ? c->o.dest_password : c->o.src_password);
}

/* --- kinds --- */
static int open_daemon(struct skf_cli *c, const char *name, bool dest, struct skf_cli_place *x)
{
	const char *host = dest ? c->o.dest_daemon_host : c->o.src_daemon_host, *env = getenv("DOCKER_HOST");

	host = host ? host : env && *env ? env : "unix://" DAEMON_SOCKET;
	if (!skf_startswith(host, "unix://") && *host != '/')
		return skf_fail(&c->e, SKF_EUNSUPPORTED,
				"docker daemon at '%s': expected a socket, unix:///PATH", host);
	x->p.name = skf_arena_fmt(&c->a, "%s\n%s", name, *host == '/' ? host : host + 7);
	return x->p.name ? 0 : skf_fail(&c->e, SKF_ENOMEM, "memory for the command line");
}

static int open_file(struct skf_cli *c, bool dest, bool archive, struct skf_cli_place *x)
{
	if (dest && archive)
		return skf_cli_output_open(c, x->path, &x->o);
	if (dest)
		return skf_cli_output_dir(c, x->path, &x->fd);
	x->fd = skf_openat(AT_FDCWD, x->path, archive ? O_RDONLY : O_RDONLY | O_DIRECTORY, 0);
	return x->fd < 0 ? skf_fail_sys(&c->e, x->fd, "open '%s'", x->path) : 0;
}

static int open_path(struct skf_cli *c, const struct transport *t, const char *rest, bool dest,
		     struct skf_cli_place *x)
{
	const char *colon = t->named ? strchr(rest, ':') : NULL;
	size_t n = colon ? (size_t)(colon - rest) : strlen(rest);

	x->path = skf_arena_dup(&c->a, rest, n);
	x->p.name = colon ? colon + 1 : "";
	if (!x->path || !n)
		return skf_fail(&c->e, SKF_EINVALID, "'%s%s': expected a path", t->word, rest);
	if (open_file(c, dest, t->file, x) < 0)
		return -1;
	x->p.fd = x->fd >= 0 ? x->fd : x->o.fd;
	return 0;
}

static int open_plain(struct skf_cli *c, const char *word, bool dest, struct skf_cli_place *x)
{
	int has = dest                    ? !has_host(word)
		  : skf_cli_engine(c) < 0 ? -1
					  : skf_engine_image_has(c->g, word, &c->e);

	if (has < 0)
		return -1;
	x->p.kind = has ? SKF_COPY_STORE : SKF_COPY_REGISTRY;
	x->p.name = word;
	return 0;
}

int skf_cli_place_open(struct skf_cli *c, const char *word, bool dest, struct skf_cli_place *ret)
{
	const struct transport *t = find(word);

	*ret = (struct skf_cli_place){.p.fd = -1, .fd = -EBADF, .o.fd = -EBADF};
	if (set_how(c, dest, &ret->p) < 0)
		return -1;
	if (!t)
		return open_plain(c, word, dest, ret);
	ret->p.kind = t->kind;
	ret->p.name = word + strlen(t->word);
	if (t->kind == SKF_COPY_REGISTRY || t->kind == SKF_COPY_STORE)
		return *ret->p.name
			       ? 0
			       : skf_fail(&c->e, SKF_EINVALID, "'%s': expected the name of an image", word);
	if (t->kind == SKF_COPY_DAEMON)
		return open_daemon(c, ret->p.name, dest, ret);
	return open_path(c, t, ret->p.name, dest, ret);
}

int skf_cli_place_close(struct skf_cli *c, struct skf_cli_place *x)
{
	return x->o.path ? skf_cli_output_close(c, &x->o) : 0;
}

void skf_cli_place_done(struct skf_cli_place *x)
{
	skf_closep(&x->fd);
	skf_cli_output_done(&x->o);
}
