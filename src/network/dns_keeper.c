/* network/dns_keeper.c -- the process of skiff-resolver that keeps rights, and how the other one asks it. A
 * request is a struct of fixed size and at most one descriptor; whoever has taken the other process over can
 * ask for what containers have anyway: sockets at 127.0.0.11 in a namespace that has a file below
 * run/resolver, an address into the set of a container that has allowed names. Nothing here reads a packet.
 * Invariant: a container's process and namespace are those that its file means, not what the other process
 * says. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/record.h"
#include "network/dns_int.h"
#include "sys/process.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOM 1024

enum op { OP_FILE = 1, OP_SOCKETS, OP_LEARN, OP_DROP, OP_END };
struct ask {
	uint16_t port, locked;
	uint32_t ttl;
	struct skf_ip ip;
	char id[SKF_MAX_NAME_BYTES + 1];
};
struct reply {
	int fd[3];
	unsigned n;
};

/* --- in the keeper --- */
static bool file_is_dead(struct skf_dns *d, const char *id)
{
	struct skf_resolver_file *f = NULL;
	struct skf_err e = SKF_ERR_INIT;
	bool dead;

	if (skf_resolver_file_read(d->dir_fd, id, &f, &e) < 0)
		return false;
	dead = skf_proc_alive((pid_t)f->pid, f->start_time) == 0;
	skf_resolver_file_free(f);
	return dead;
}

/* Removes the file of a container that is gone, unless it is another's by now. Who starts now keeps the
 * lock, and the file for the next look. */
static void drop_file(struct skf_dns *d, const char *id, bool locked)
{
	SKF_AUTO_FD int lock = locked ? -EBADF : skf_lock_at(d->dir_fd, SKF_RESOLVER_LOCK, true, 0);

	if ((!locked && lock < 0) || !file_is_dead(d, id))
		return;
	if (unlinkat(d->dir_fd, id, 0) < 0 && errno != ENOENT)
		skf_warn(d->log, "remove the file of container '%.12s': %s; ignoring it", id,
			 strerrordesc_np(errno));
}

/* Calls fn for each file of a container. */
static int each_file(struct skf_dns *d, int (*fn)(struct skf_dns *d, const char *id))
{
	SKF_AUTO_FD int fd = skf_openat(d->dir_fd, ".", O_RDONLY | O_DIRECTORY, 0);
	SKF_AUTO_DIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	int r = 0;

	if (dir)
		fd = -EBADF;
	for (struct dirent *x; r == 0 && dir && (x = readdir(dir));)
		if (skf_resolver_id_ok(x->d_name))
			r = fn(d, x->d_name);
	return r;
}

static int note_file(struct skf_dns *d, const char *id)
{
	void *p = reallocarray(d->start_ids, d->n_start_ids + 1, sizeof(*d->start_ids));

	if (!p)
		return -ENOMEM;
	d->start_ids = p;
	memcpy(d->start_ids[d->n_start_ids++], id, strlen(id) + 1);
	return 0;
}

int skf_dns_note_files(struct skf_dns *d)
{
	return each_file(d, note_file);
}

/* The directories of its networks may be walked through by who knows their names: below run, which nobody
 * else may enter. names.c makes them so; those of an older version are not. A network without names (of CNI)
 * has none. */
static int open_names(struct skf_dns *d, const struct skf_resolver_file *f)
{
	static const char *const parts[] = {"", "/names"};

	for (size_t i = 0; i < f->n_networks * SKF_ARRAY_LEN(parts); i++) {
		char path[SKF_MAX_NAME_BYTES + 16];

		if (skf_fmt(path, sizeof(path), "%s%s", f->networks[i / 2].id, parts[i % 2]) < 0)
			return -ENAMETOOLONG;
		if (fchmodat(d->networks_fd, path, 0711, 0) < 0 && errno != ENOENT)
			return -errno;
	}
	return 0;
}

static int give_file(struct skf_dns *d, const struct ask *q, int given, struct reply *r, struct skf_err *e)
{
	SKF_AUTO_FD int fd = skf_openat(d->dir_fd, q->id, O_RDONLY | O_NOFOLLOW, 0);

	(void)given;
	if (fd < 0)
		return skf_fail_sys(e, fd, "file '%s' of the resolver", q->id);
	r->fd[r->n++] = SKF_TAKE_FD(fd);
	return 0;
}

/* A pidfd of the process that the file means, not of a later one with its number. */
static int open_process(const struct skf_resolver_file *f)
{
	SKF_AUTO_FD int fd = skf_pidfd_open((pid_t)f->pid);
	int r;

	if (fd < 0)
		return fd;
	r = skf_proc_alive((pid_t)f->pid, f->start_time);
	return r == 1 ? SKF_TAKE_FD(fd) : r < 0 ? r : -ESRCH;
}

/* Among what the process holds: a pod's holder is in the host's namespaces itself. */
static int open_held(const struct skf_resolver_file *f)
{
	char path[40], want[40], link[40];
	SKF_AUTO_DIR DIR *dir = NULL;
	struct dirent *de;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%u/fd", f->pid);
	snprintf(want, sizeof(want), "net:[%llu]", (unsigned long long)f->netns);
	dir = opendir(path);
	while (dir && (de = readdir(dir))) {
		n = readlinkat(dirfd(dir), de->d_name, link, sizeof(link) - 1);
		if (n < 0)
			continue;
		link[n] = '\0';
		if (skf_streq(link, want))
			return skf_openat(dirfd(dir), de->d_name, O_RDONLY, 0);
	}
	return -ENOENT;
}

/* The namespace that the file means; one of an older version does not say which. */
static int open_netns(const struct skf_resolver_file *f)
{
	SKF_AUTO_FD int fd = -EBADF;
	struct stat st;
	char path[40];

	snprintf(path, sizeof(path), "/proc/%u/ns/net", f->pid);
	fd = skf_openat(AT_FDCWD, path, O_RDONLY, 0);
	if (fd < 0)
		return fd;
	if (!f->netns || (fstat(fd, &st) == 0 && st.st_ino == f->netns))
		return SKF_TAKE_FD(fd);
	return open_held(f);
}

static int open_sockets(struct skf_dns *d, const char *id, const struct skf_resolver_file *f, int given,
			struct reply *r, struct skf_err *e)
{
	SKF_AUTO_FD int own = -EBADF, pidfd = open_process(f);
	int udp, tcp, k;

	if (pidfd < 0)
		return skf_fail_sys(e, pidfd, "process %u of container '%.12s'", f->pid, id);
	if (given < 0) {
		given = own = open_netns(f);
		if (own < 0)
			return skf_fail_sys(e, own, "open the network namespace of container '%.12s'", id);
	}
	k = open_names(d, f);
	if (k < 0)
		return skf_fail_sys(e, k, "open the names of the networks of container '%.12s'", id);
	if (skf_dns_netns_open(d, id, given, &udp, &tcp, e) < 0)
		return -1;
	*r = (struct reply){{SKF_TAKE_FD(pidfd), udp, tcp}, 3};
	return 0;
}

static int give_sockets(struct skf_dns *d, const struct ask *q, int given, struct reply *r,
			struct skf_err *e)
{
	struct skf_resolver_file *f = NULL;
	int k;

	if (skf_resolver_file_read(d->dir_fd, q->id, &f, e) < 0)
		return -1;
	k = open_sockets(d, q->id, f, given, r, e);
	skf_resolver_file_free(f);
	return k;
}

static int learn(struct skf_dns *d, const struct ask *q, int given, struct reply *r, struct skf_err *e)
{
	struct skf_resolver_file *f = NULL;
	bool allowed;
	int k;

	(void)given;
	(void)r;
	if ((q->ip.family != AF_INET && q->ip.family != AF_INET6) ||
	    skf_resolver_file_read(d->dir_fd, q->id, &f, e) < 0)
		return e->kind ? -1 : skf_fail(e, SKF_EINVALID, "no address");
	allowed = f->n_egress > 0;
	skf_resolver_file_free(f);
	if (!allowed)
		return skf_fail(e, SKF_EDENIED, "container '%.12s' has no allowed names", q->id);
	k = skf_dns_learn_one(d, q->id, &q->ip, q->port, q->ttl);
	return k < 0 ? skf_fail_sys(e, k, "egress set of container '%.12s'", q->id) : 0;
}

static int drop(struct skf_dns *d, const struct ask *q, int given, struct reply *r, struct skf_err *e)
{
	(void)given;
	(void)r;
	(void)e;
	drop_file(d, q->id, q->locked);
	return 0;
}

static int drop_if_dead(struct skf_dns *d, const char *id)
{
	drop_file(d, id, true);
	return 0;
}

/* The lock is kept until we end. ENOENT: the directory itself is gone, and with it whoever could join. */
static int end(struct skf_dns *d, const struct ask *q, int given, struct reply *r, struct skf_err *e)
{
	int lock = skf_lock_at(d->dir_fd, SKF_RESOLVER_LOCK, true, 0);

	(void)q;
	(void)given;
	(void)r;
	if (lock < 0 && lock != -ENOENT)
		return skf_fail(e, SKF_ECONFLICT, "somebody is joining");
	(void)each_file(d, drop_if_dead); /* it never fails */
	unlinkat(d->dir_fd, SKF_RESOLVER_SOCK,
		 0); /* who comes next starts another resolver in either case */
	return 0;
}

static const struct {
	uint16_t op;
	bool with_id;
	int (*fn)(struct skf_dns *d, const struct ask *q, int given, struct reply *r, struct skf_err *e);
} ops[] = {{OP_FILE, true, give_file},
	   {OP_SOCKETS, true, give_sockets},
	   {OP_LEARN, true, learn},
	   {OP_DROP, true, drop},
	   {OP_END, false, end}};

static int serve(struct skf_dns *d, struct skf_recr *m, int given, struct reply *r, struct skf_err *e)
{
	struct skf_str body = skf_recr_bytes(m);
	struct ask q;

	if (m->bad || body.n != sizeof(q))
		return skf_fail(e, SKF_EINVALID, "a request of another form");
	memcpy(&q, body.p, sizeof(q));
	q.id[sizeof(q.id) - 1] = '\0';
	for (size_t i = 0; i < SKF_ARRAY_LEN(ops); i++)
		if (ops[i].op == m->type)
			return ops[i].with_id && !skf_resolver_id_ok(q.id)
				       ? skf_fail(e, SKF_EINVALID, "no id of a container")
				       : ops[i].fn(d, &q, given, r, e);
	return skf_fail(e, SKF_EINVALID, "an unknown request");
}

void skf_dns_keeper_run(struct skf_dns *d)
{
	while (!d->lost) {
		SKF_AUTO(skf_fds_done) struct skf_fds fds = {.n = 0};
		struct reply r = {.n = 0};
		struct skf_err e = SKF_ERR_INIT;
		char in_mem[ROOM], out_mem[ROOM];
		struct skf_buf in = {.p = in_mem, .cap = ROOM, .max = ROOM - 1},
			       out = {.p = out_mem, .cap = ROOM, .max = ROOM - 1};
		struct skf_recr m;
		struct skf_rec w;
		int k;

		if (skf_record_recv(d->keeper, &in, &m, &fds, -1) != 1)
			return; /* the other one is gone */
		k = serve(d, &m, fds.n ? fds.fd[0] : -EBADF, &r, &e);
		skf_rec_begin(&w, &out, k < 0 ? SKF_RESOLVER_ERROR : SKF_RESOLVER_OK, SKF_RESOLVER_VERSION);
		if (k < 0)
			skf_rec_err(&w, &e);
		skf_rec_end(&w);
		k = skf_record_send(d->keeper, &out, r.fd, r.n);
		for (unsigned i = 0; i < r.n; i++)
			skf_closep(&r.fd[i]);
		if (k < 0)
			return;
	}
}

/* --- in the other process --- */
static int ask(struct skf_dns *d, uint16_t op, struct ask *q, const char *id, int fd, struct skf_fds *ret,
	       struct skf_err *e)
{
	char in_mem[ROOM], out_mem[ROOM];
	struct skf_buf in = {.p = in_mem, .cap = ROOM, .max = ROOM - 1},
		       out = {.p = out_mem, .cap = ROOM, .max = ROOM - 1};
	struct skf_err theirs = SKF_ERR_INIT;
	struct skf_recr m;
	struct skf_rec w;
	int r;

	snprintf(q->id, sizeof(q->id), "%s", id);
	skf_rec_begin(&w, &out, op, SKF_RESOLVER_VERSION);
	skf_rec_bytes(&w, q, sizeof(*q));
	skf_rec_end(&w);
	r = skf_record_send(d->keeper, &out, &fd, fd >= 0);
	if (r == 0)
		r = skf_record_recv(d->keeper, &in, &m, ret, -1);
	if (r <= 0) {
		d->stop = true;
		return skf_fail_sys(e, r < 0 ? r : -EPIPE, "the resolver's other process is gone");
	}
	if (m.type == SKF_RESOLVER_OK)
		return 0;
	skf_recr_err(&m, &theirs);
	*e = theirs;
	return -1;
}

int skf_dns_ask_file(struct skf_dns *d, const char *id, int *ret_fd, struct skf_err *e)
{
	SKF_AUTO(skf_fds_done) struct skf_fds fds = {.n = 0};
	struct ask q = {.port = 0};

	if (ask(d, OP_FILE, &q, id, -1, &fds, e) < 0)
		return -1;
	if (fds.n != 1)
		return skf_fail(e, SKF_ECORRUPT, "no file of container '%.12s'", id);
	*ret_fd = SKF_TAKE_FD(fds.fd[0]);
	return 0;
}

int skf_dns_ask_sockets(struct skf_dns *d, const char *id, int netns, int *ret_pidfd, int *ret_udp,
			int *ret_tcp, struct skf_err *e)
{
	SKF_AUTO(skf_fds_done) struct skf_fds fds = {.n = 0};
	struct ask q = {.port = 0};

	if (ask(d, OP_SOCKETS, &q, id, netns, &fds, e) < 0)
		return -1;
	if (fds.n != 3)
		return skf_fail(e, SKF_ECORRUPT, "no sockets for container '%.12s'", id);
	*ret_pidfd = SKF_TAKE_FD(fds.fd[0]);
	*ret_udp = SKF_TAKE_FD(fds.fd[1]);
	*ret_tcp = SKF_TAKE_FD(fds.fd[2]);
	return 0;
}

int skf_dns_ask_learn(struct skf_dns *d, const char *id, const struct skf_ip *ip, uint16_t port,
		      uint32_t ttl, struct skf_err *e)
{
	struct ask q = {.port = port, .ttl = ttl, .ip = *ip};

	return ask(d, OP_LEARN, &q, id, -1, NULL, e);
}

void skf_dns_ask_drop(struct skf_dns *d, const char *id, bool locked)
{
	struct skf_err e = SKF_ERR_INIT;
	struct ask q = {.locked = locked};

	(void)ask(d, OP_DROP, &q, id, -1, NULL, &e); /* it logs what it could not do */
}

int skf_dns_ask_end(struct skf_dns *d, struct skf_err *e)
{
	struct ask q = {.port = 0};

	if (ask(d, OP_END, &q, "", -1, NULL, e) == 0)
		return 1;
	return d->stop ? -1 : 0;
}
