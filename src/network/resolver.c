/* network/resolver.c -- the engine's side of skiff-resolver: write the container's file, tell the resolver,
 * start one when there is none. A join holds run/resolver/.lock shared from before it writes until it has
 * its answer; who starts a resolver, and a resolver that ends or removes a file, holds it alone. So nobody
 * speaks to a resolver that is about to end, and there are never two. */
#include "network/resolver.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/proc.h"
#include "base/record.h"
#include "network/resolver_int.h"
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define PROGRAM "skiff-resolver"
#define BACKLOG 128

static int open_dir(const char *run_root, bool make, struct skf_err *e)
{
	SKF_AUTO_FD int run = skf_openat(AT_FDCWD, run_root, O_RDONLY | O_DIRECTORY, 0);
	int dir;

	if (run < 0)
		return skf_fail_sys(e, run, "open '%s'", run_root);
	dir = make ? skf_mkdirs_at(run, SKF_RESOLVER_DIR, 0700)
		   : skf_openat(run, SKF_RESOLVER_DIR, O_RDONLY | O_DIRECTORY, 0);
	if (dir < 0 && !(dir == -ENOENT && !make))
		return skf_fail_sys(e, dir, "open '%s/" SKF_RESOLVER_DIR "'", run_root);
	return dir < 0 ? -ENOENT : dir;
}

static int lock_dir(int dir, bool exclusive, struct skf_err *e)
{
	int fd = skf_lock_at(dir, SKF_RESOLVER_LOCK, exclusive, SKF_LOCK_MS);

	return fd < 0 ? skf_fail_sys(e, fd, "lock of the resolver") : fd;
}

/* --- the file --- */
static void put_lines(struct skf_buf *b, const char *word, const struct skf_strv *v)
{
	for (size_t i = 0; i < v->n; i++)
		skf_buf_fmt(b, "%s %s\n", word, v->v[i]);
}

static int check_values(const struct skf_strv *v, const char *what, struct skf_err *e)
{
	for (size_t i = 0; i < v->n; i++)
		if (v->v[i][strcspn(v->v[i], "\r\n")])
			return skf_fail(e, SKF_EINVALID, "%s '%.80s' has a line break", what, v->v[i]);
	return 0;
}

static int check_join(const struct skf_resolver_join *j, struct skf_err *e)
{
	struct skf_dns_server_addr a;

	if (!skf_resolver_id_ok(j->container_id))
		return skf_fail(e, SKF_EINVALID, "'%.80s' is not the id of a container", j->container_id);
	if (j->servers.n > SKF_MAX_DNS_SERVERS)
		return skf_fail(e, SKF_ELIMIT, "%zu DNS servers are too many: at most %d", j->servers.n,
				SKF_MAX_DNS_SERVERS);
	if (j->networks.n > SKF_MAX_DNS_NETWORKS)
		return skf_fail(e, SKF_ELIMIT, "%zu networks are too many for one container: at most %d",
				j->networks.n, SKF_MAX_DNS_NETWORKS);
	for (size_t i = 0; i < j->servers.n; i++)
		if (skf_dns_server_parse(j->servers.v[i], &a) < 0)
			return skf_fail(
				e, SKF_EINVALID,
				"'%.80s' is not the address of a DNS server: use ADDRESS or ADDRESS:PORT",
				j->servers.v[i]);
	for (size_t i = 0; i < j->networks.n; i++)
		if (!skf_resolver_id_ok(j->networks.v[i]))
			return skf_fail(e, SKF_EINVALID, "'%.80s' is not the id of a network",
					j->networks.v[i]);
	if (check_values(&j->network_names, "network", e) < 0 ||
	    check_values(&j->search, "search domain", e) < 0 ||
	    check_values(&j->options, "DNS option", e) < 0 ||
	    check_values(&j->egress_names, "egress name", e) < 0)
		return -1;
	return 0;
}

static int write_file(int dir, const struct skf_resolver_join *j, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_DNS_STATE);
	struct stat st;
	char boot[37];
	int r = skf_boot_id(boot);

	if (r < 0)
		return skf_fail_sys(e, r, "read the boot id");
	skf_buf_fmt(&b, "v 1\nprocess %u %llu %s\n", j->pid, (unsigned long long)j->start_time, boot);
	if (j->netns_fd >= 0 && fstat(j->netns_fd, &st) == 0)
		skf_buf_fmt(&b, "netns %llu\n", (unsigned long long)st.st_ino);
	for (size_t i = 0; i < j->networks.n; i++)
		skf_buf_fmt(&b, "network %s %s\n", j->networks.v[i],
			    i < j->network_names.n ? j->network_names.v[i] : "");
	put_lines(&b, "server", &j->servers);
	put_lines(&b, "search", &j->search);
	put_lines(&b, "option", &j->options);
	put_lines(&b, "egress", &j->egress_names);
	put_lines(&b, "address", &j->egress_addrs);
	if (j->internal)
		skf_buf_str(&b, "internal\n");
	if (j->ndots)
		skf_buf_str(&b, "ndots\n");
	if (b.err)
		return skf_fail(e, SKF_ELIMIT,
				"what the resolver has to know of container '%.12s' is longer than %d bytes",
				j->container_id, SKF_MAX_DNS_STATE);
	r = skf_write_atomic_at(dir, j->container_id, b.p, b.len, 0600, 0);
	return r < 0 ? skf_fail_sys(e, r, "write '" SKF_RESOLVER_DIR "/%.12s'", j->container_id) : 0;
}

/* --- the socket --- */
static void socket_path(int dir, struct sockaddr_un *sa)
{
	*sa = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(sa->sun_path, sizeof(sa->sun_path), "/proc/self/fd/%d/" SKF_RESOLVER_SOCK, dir);
}

static int new_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

/* -ENOENT or -ECONNREFUSED: there is no resolver. */
static int connect_to(int dir)
{
	SKF_AUTO_FD int fd = new_socket();
	struct sockaddr_un sa;

	socket_path(dir, &sa);
	if (fd < 0)
		return fd;
	return connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ? -errno : SKF_TAKE_FD(fd);
}

/* No resolver, or one that ended before it answered. */
static bool nobody(int r)
{
	return r == -ENOENT || r == -ECONNREFUSED || r == -EPIPE || r == -ECONNRESET;
}

struct answer {
	uint32_t pid, containers;
};

/* One request and its answer on an own connection. */
static int ask(int sock, uint16_t type, const char *id, int netns, struct answer *ret, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	struct skf_err theirs = SKF_ERR_INIT;
	struct skf_rec w;
	struct skf_recr r;
	int n;

	skf_rec_begin(&w, &b, type, SKF_RESOLVER_VERSION);
	if (id)
		skf_rec_str(&w, id);
	skf_rec_end(&w);
	n = skf_record_send(sock, &b, &netns, netns >= 0);
	if (n == 0)
		n = skf_record_recv(sock, &b, &r, NULL, SKF_RESOLVER_MS);
	if (n <= 0)
		return skf_fail_sys(e, n < 0 ? n : -EPIPE, "the resolver does not answer");
	if (r.type == SKF_RESOLVER_OK) {
		*ret = (struct answer){skf_recr_u32(&r), skf_recr_u32(&r)};
		return 0;
	}
	skf_recr_err(&r, &theirs);
	if (r.type != SKF_RESOLVER_ERROR || r.bad)
		return skf_fail(e, SKF_ECORRUPT, "the resolver's answer is malformed");
	*e = theirs;
	return -1;
}

/* --- starting it --- */
static int listen_at(int dir)
{
	SKF_AUTO_FD int fd = new_socket();
	struct sockaddr_un sa;

	socket_path(dir, &sa);
	if (fd < 0)
		return fd;
	if (unlinkat(dir, SKF_RESOLVER_SOCK, 0) < 0 && errno != ENOENT)
		return -errno;
	if (fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    listen(fd, BACKLOG) < 0)
		return -errno;
	return SKF_TAKE_FD(fd);
}

/* The caller holds the lock alone. */
static int start(int dir, const char *run_root, struct skf_err *e)
{
	SKF_AUTO_FD int sock = listen_at(dir), run = skf_openat(dir, "..", O_RDONLY | O_DIRECTORY, 0);
	const int fds[] = {sock, run}; /* SKF_RESOLVER_LISTEN, SKF_RESOLVER_RUN */
	char path[PATH_MAX];
	char *const argv[] = {(char *)PROGRAM, (char *)run_root, NULL};
	struct skf_spawn s = {.path = path,
			      .argv = argv,
			      .stdio = {-1, -1, -1},
			      .fds = fds,
			      .n_fds = 2,
			      .cwd = "/",
			      .new_session = true};
	int r;

	if (sock < 0 || run < 0)
		return skf_fail_sys(e, sock < 0 ? sock : run, "control socket of the resolver");
	r = skf_sibling_program(PROGRAM, path, sizeof(path));
	if (r < 0)
		return skf_fail_sys(e, r, "find " PROGRAM);
	r = skf_spawn(&s, NULL, NULL);
	return r < 0 ? skf_fail_sys(e, r, "start '%s'", path) : 0;
}

static int connect_or_start(int dir, const char *run_root, struct skf_err *e)
{
	int fd = connect_to(dir);

	if (nobody(fd)) {
		if (start(dir, run_root, e) < 0)
			return -1;
		fd = connect_to(dir);
	}
	return fd < 0 ? skf_fail_sys(e, fd, "connect to the resolver") : fd;
}

/* Asks a resolver that is started when there is none. One that is being killed may still take the
 * connection, so that there are two tries. The caller's lock is given up for the exclusive one. */
static int ask_surely(int dir, const char *run_root, int *lock, uint16_t type, const char *id, int netns,
		      struct skf_err *e)
{
	struct answer a;

	skf_closep(lock);
	*lock = lock_dir(dir, true, e);
	if (*lock < 0)
		return -1;
	for (int tries = 2;;) {
		SKF_AUTO_FD int sock = connect_or_start(dir, run_root, e);

		if (sock < 0)
			return -1;
		if (ask(sock, type, id, netns, &a, e) == 0)
			return 0;
		if (--tries == 0 || !nobody(-e->sys))
			return -1;
		skf_err_clear(e);
	}
}

static int join_locked(const char *run_root, int dir, const struct skf_resolver_join *j, int *lock,
		       struct skf_err *e)
{
	SKF_AUTO_FD int sock = -EBADF;
	struct answer a;

	if (write_file(dir, j, e) < 0)
		return -1;
	sock = connect_to(dir);
	if (sock >= 0 && ask(sock, SKF_RESOLVER_JOIN, j->container_id, j->netns_fd, &a, e) == 0)
		return 0;
	if (sock >= 0 && !nobody(-e->sys))
		return -1; /* it said no */
	skf_err_clear(e);
	return ask_surely(dir, run_root, lock, SKF_RESOLVER_JOIN, j->container_id, j->netns_fd, e);
}

int skf_resolver_join(const char *run_root, const struct skf_resolver_join *j, struct skf_err *e)
{
	SKF_AUTO_FD int dir = -EBADF, lock = -EBADF;

	if (check_join(j, e) < 0)
		return -1;
	dir = open_dir(run_root, true, e);
	if (dir < 0)
		return -1;
	lock = lock_dir(dir, false, e);
	if (lock < 0)
		return -1;
	if (join_locked(run_root, dir, j, &lock, e) == 0)
		return 0;
	unlinkat(dir, j->container_id,
		 0); /* the first failure is the one to tell; the resolver removes files of the dead */
	return skf_ctx(e, "names for container '%.12s'", j->container_id);
}

/* The file of a container with other "server" lines. */
static int change_servers(int dir, const char *id, const struct skf_strv *servers)
{
	SKF_AUTO(skf_buf_done)
	struct skf_buf old = SKF_BUF(SKF_MAX_DNS_STATE + 1), b = SKF_BUF(SKF_MAX_DNS_STATE);
	char *save = NULL;
	int r = skf_read_file_at(dir, id, SKF_MAX_DNS_STATE, &old);

	if (r < 0)
		return r;
	for (char *l = old.p ? strtok_r(old.p, "\n", &save) : NULL; l; l = strtok_r(NULL, "\n", &save))
		if (!skf_startswith(l, "server "))
			skf_buf_fmt(&b, "%s\n", l);
	put_lines(&b, "server", servers);
	return b.err ? b.err : skf_write_atomic_at(dir, id, b.p, b.len, 0600, 0);
}

int skf_resolver_servers(const char *run_root, const char *container_id, const struct skf_strv *servers,
			 struct skf_err *e)
{
	SKF_AUTO_FD int dir = open_dir(run_root, false, e), lock = -EBADF, sock = -EBADF;
	struct answer a;
	int r;

	if (dir < 0)
		return dir == -ENOENT ? 0 : -1;
	lock = lock_dir(dir, true, e); /* two at a time would lose what one of them writes */
	if (lock < 0)
		return -1;
	r = change_servers(dir, container_id, servers);
	if (r < 0)
		return r == -ENOENT
			       ? 0
			       : skf_fail_sys(e, r, "change the servers of container '%.12s'", container_id);
	sock = connect_to(dir);
	if (sock < 0)
		return nobody(sock) ? 0 : skf_fail_sys(e, sock, "connect to the resolver");
	return ask(sock, SKF_RESOLVER_JOIN, container_id, -1, &a, e) == 0 || nobody(-e->sys) ? 0 : -1;
}

int skf_resolver_leave(const char *run_root, const char *container_id, struct skf_err *e)
{
	SKF_AUTO_FD int dir = open_dir(run_root, false, e), lock = -EBADF, sock = -EBADF;
	struct answer a;

	if (dir < 0)
		return dir == -ENOENT ? 0 : -1;
	if (!skf_resolver_id_ok(container_id))
		return 0; /* no container has such an id, so it has no file */
	lock = lock_dir(dir, false, e);
	if (lock < 0)
		return -1;
	if (unlinkat(dir, container_id, 0) < 0 && errno != ENOENT)
		return skf_fail_sys(e, -errno, "remove '" SKF_RESOLVER_DIR "/%.12s'", container_id);
	sock = connect_to(dir);
	if (sock < 0)
		return nobody(sock) ? 0 : skf_fail_sys(e, sock, "connect to the resolver");
	if (ask(sock, SKF_RESOLVER_LEAVE, container_id, -1, &a, e) == 0)
		return 0;
	return nobody(-e->sys) ? 0 : -1;
}

/* Is there a file of a container that lives? Those of dead ones are removed. */
static int somebody(int dir, struct skf_err *e)
{
	SKF_AUTO_FD int fd = skf_openat(dir, ".", O_RDONLY | O_DIRECTORY, 0);
	SKF_AUTO_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);
	int found = 0;

	if (!d)
		return skf_fail_sys(e, fd < 0 ? fd : -errno, "read the directory of the resolver");
	fd = -EBADF;
	for (struct dirent *x; (x = readdir(d));) {
		struct skf_resolver_file *f = NULL;
		struct skf_err bad = SKF_ERR_INIT;

		if (!skf_resolver_id_ok(x->d_name))
			continue;
		if (skf_resolver_file_read(dir, x->d_name, &f, &bad) == 0 &&
		    skf_proc_alive((pid_t)f->pid, f->start_time) == 1)
			found = 1;
		else
			unlinkat(dir, x->d_name, 0); /* one that stays is looked at again */
		skf_resolver_file_free(f);
	}
	return found;
}

int skf_resolver_restart(const char *run_root, struct skf_err *e)
{
	SKF_AUTO_FD int dir = open_dir(run_root, false, e), lock = -EBADF;
	int r;

	if (dir < 0)
		return dir == -ENOENT ? 0 : -1;
	lock = lock_dir(dir, true, e);
	if (lock < 0)
		return -1;
	r = somebody(dir, e);
	return r == 1 ? ask_surely(dir, run_root, &lock, SKF_RESOLVER_PING, NULL, -1, e) : r;
}

int skf_resolver_ping(const char *run_root, uint32_t *ret_pid, uint32_t *ret_containers, struct skf_err *e)
{
	SKF_AUTO_FD int dir = open_dir(run_root, false, e), sock = -EBADF;
	struct answer a;

	if (dir < 0)
		return dir == -ENOENT ? 0 : -1;
	sock = connect_to(dir);
	if (sock < 0)
		return nobody(sock) ? 0 : skf_fail_sys(e, sock, "connect to the resolver");
	if (ask(sock, SKF_RESOLVER_PING, NULL, -1, &a, e) < 0)
		return nobody(-e->sys) ? 0 : -1;
	if (ret_pid)
		*ret_pid = a.pid;
	if (ret_containers)
		*ret_containers = a.containers;
	return 1;
}

void skf_resolver_conf(struct skf_buf *b, const struct skf_strv *search, const struct skf_strv *options)
{
	bool ndots = false;

	skf_buf_str(b, "nameserver " SKF_RESOLVER_ADDR "\n");
	for (size_t i = 0; i < search->n; i++)
		skf_buf_fmt(b, "%s%s%s", i ? " " : "search ", search->v[i], i + 1 == search->n ? "\n" : "");
	skf_buf_str(b, "options");
	for (size_t i = 0; i < options->n; i++) {
		ndots = ndots || skf_startswith(options->v[i], "ndots:");
		skf_buf_fmt(b, " %s", options->v[i]);
	}
	skf_buf_str(b, ndots ? "\n" : " ndots:0\n");
}
