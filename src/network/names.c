/* network/names.c -- the files behind network/names.h.
 * An entry is a list of segments, one per container: "=<container> <word> <word>". Changing an entry is
 * reading it, leaving out the container's segment, perhaps adding one, and renaming the new text over it; an
 * entry without segments is removed. Invariants: (1) the container's own record exists before its first
 * entry and until its last one is gone, so that a killed writer leaves nothing that remove does not find;
 * (2) no name begins with '=', '@' or '.'. */
#include "network/names.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/limits.h"
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DNS_NAME_MAX  253
#define DNS_LABEL_MAX 63
#define LONGEST_LINK  3500 /* PATH_MAX less room; longer entries are regular files */
#define KEY_SIZE      (DNS_NAME_MAX + 1)

struct names { /* one locked directory */
	const char *network;
	char id[SKF_NAMES_ID + 1];
	int dir, lock;
};

static void names_done(struct names *n)
{
	skf_closep(&n->lock);
	skf_closep(&n->dir);
}

/* --- entries --- */

/* Text of an entry, appended to b. -ENOENT when there is none. */
static int entry_read(int at, const char *path, struct skf_buf *b)
{
	char *room = skf_buf_reserve(b, LONGEST_LINK + 1);
	ssize_t n;

	if (!room)
		return b->err;
	n = readlinkat(at, path, room, LONGEST_LINK + 1);
	if (n < 0)
		return errno == EINVAL ? skf_read_file_at(at, path, SKF_MAX_NAMES_ENTRY, b) : -errno;
	if (n > LONGEST_LINK)
		return -EFBIG;
	b->len += (size_t)n;
	b->p[b->len] = 0;
	return 0;
}

static int entry_write(const struct names *n, const char *key, const struct skf_buf *b)
{
	char tmp[40], rnd[17];
	int r = skf_random_hex(rnd, 8);

	if (b->err || r < 0)
		return b->err ? b->err : r;
	if (b->len == 0)
		return unlinkat(n->dir, key, 0) < 0 && errno != ENOENT ? -errno : 0;
	if (b->len > LONGEST_LINK)
		return skf_write_atomic_at(n->dir, key, b->p, b->len, 0644,
					   0); /* the resolver is nobody: dns_lock.c */
	snprintf(tmp, sizeof(tmp), ".%s", rnd);
	if (symlinkat(b->p, n->dir, tmp) < 0)
		return -errno;
	if (renameat(n->dir, tmp, n->dir, key) == 0)
		return 0;
	r = -errno;
	unlinkat(n->dir, tmp, 0); /* r tells why; a second failure adds nothing */
	return r;
}

/* Copies all segments of text but the one of `id`. */
static void copy_others(struct skf_buf *out, const char *text, const char *id)
{
	size_t idlen = strlen(id);

	while (*text) {
		const char *next = strstr(text, " =");
		size_t n = next ? (size_t)(next - text) : strlen(text);

		if (!(strncmp(text + 1, id, idlen) == 0 && (text[1 + idlen] == ' ' || !text[1 + idlen]))) {
			if (out->len)
				skf_buf_chr(out, ' ');
			skf_buf_put(out, text, n);
		}
		text += n + (next != NULL);
	}
}

/* Replaces the container's segment of an entry; words NULL removes it. */
static int entry_update(const struct names *n, const char *key, const char *words)
{
	SKF_AUTO(skf_buf_done)
	struct skf_buf old = SKF_BUF(SKF_MAX_NAMES_ENTRY + LONGEST_LINK + 1),
		       b = SKF_BUF(SKF_MAX_NAMES_ENTRY);
	int r = entry_read(n->dir, key, &old);

	if (r < 0 && r != -ENOENT)
		return r;
	copy_others(&b, skf_buf_cstr(&old), n->id);
	if (words)
		skf_buf_fmt(&b, "%s=%s %s", b.len ? " " : "", n->id, words);
	return entry_write(n, key, &b);
}

/* --- checks --- */

/* 1 a DNS name, its lower-case form in out; 0 no query can hold it; -EINVAL a character is not allowed. */
static int normalize(const char *name, char out[KEY_SIZE])
{
	size_t label = 0, n = 0;
	bool fits = true;

	if (!name[0] || name[0] == '.')
		return -EINVAL;
	for (; name[n]; n++) {
		unsigned char c = (unsigned char)name[n];

		if (!isascii(c) || !(isalnum(c) || c == '_' || c == '.' || c == '-'))
			return -EINVAL;
		if (c == '.' && label == 0)
			return -EINVAL;
		label = c == '.' ? 0 : label + 1;
		fits = fits && label <= DNS_LABEL_MAX && n < DNS_NAME_MAX;
		if (fits)
			out[n] = (char)tolower(c);
	}
	if (!fits)
		return 0;
	out[n] = 0;
	return 1;
}

static void key_of_ip(const struct skf_ip *ip, char out[1 + SKF_IP_TEXT])
{
	out[0] = '@';
	skf_ip_text(ip, out + 1);
}

/* names and addresses of the request as words, checked; first is the name that the addresses resolve to (""
 * when there is none). */
static int check_request(const struct skf_strv *names, const struct skf_strv *addrs,
			 struct skf_buf *ret_names, struct skf_buf *ret_addrs, char first[KEY_SIZE],
			 struct skf_err *e)
{
	char key[KEY_SIZE], text[SKF_IP_TEXT];
	struct skf_ip ip;

	first[0] = 0;
	for (size_t i = 0; i < names->n; i++) {
		int r = normalize(names->v[i], key);

		if (r < 0)
			return skf_fail(e, SKF_EINVALID,
					"name '%.100s' is not possible on a network: use letters, digits, "
					"'-', '_' and '.'",
					names->v[i]);
		if (r == 0)
			continue;
		if (!first[0])
			memcpy(first, key, sizeof(key));
		skf_buf_fmt(ret_names, "%s%s", ret_names->len ? " " : "", key);
	}
	for (size_t i = 0; i < addrs->n; i++) {
		if (skf_ip_parse(addrs->v[i], &ip) < 0)
			return skf_fail(e, SKF_EINVALID, "'%.100s' is not an IPv4 or IPv6 address",
					addrs->v[i]);
		skf_ip_text(&ip, text);
		skf_buf_fmt(ret_addrs, "%s%s", ret_addrs->len ? " " : "", text);
	}
	if (ret_addrs->len == 0)
		return skf_fail(e, SKF_EINVALID, "a container without an address has no names on a network");
	if (ret_names->err || ret_addrs->err)
		return skf_fail(e, SKF_ELIMIT, "%zu names and %zu addresses are too many for one container",
				names->n, addrs->n);
	return 0;
}

/* run/networks/<id>/names: the resolver, which is nobody (dns_lock.c), walks through it and its parent. */
static int make_dir(int run_fd, char *path)
{
	SKF_AUTO_FD int dir = skf_mkdirs_at(run_fd, path, 0711);
	char *last = strrchr(path, '/');
	int r = dir < 0 ? dir : 0;

	*last = '\0';
	if (r == 0 && fchmodat(run_fd, path, 0711, 0) < 0)
		r = -errno;
	*last = '/';
	if (r == 0 && fchmod(dir, 0711) < 0)
		r = -errno;
	return r < 0 ? r : SKF_TAKE_FD(dir);
}

static int names_open(int run_fd, const char *network, const char *container, bool make, struct names *ret,
		      struct skf_err *e)
{
	SKF_AUTO(names_done) struct names n = {network, "", -EBADF, -EBADF};
	char path[160];

	if (strchr(network, '/') || skf_fmt(path, sizeof(path), "networks/%s/names", network) < 0)
		return skf_fail(e, SKF_EINVALID, "'%.80s' is not the id of a network", network);
	if (!container[0] || strpbrk(container, "/ ="))
		return skf_fail(e, SKF_EINVALID, "'%.80s' is not the id of a container", container);
	snprintf(n.id, sizeof(n.id), "%s", container);
	n.dir = make ? make_dir(run_fd, path) : skf_openat(run_fd, path, O_RDONLY | O_DIRECTORY, 0);
	if (n.dir < 0)
		return n.dir == -ENOENT
			       ? 1
			       : skf_fail_sys(e, n.dir, "names of network '%s': open '%s'", network, path);
	n.lock = skf_lock_at(n.dir, ".lock", true, SKF_LOCK_MS);
	if (n.lock < 0)
		return skf_fail_sys(e, n.lock, "names of network '%s': lock", network);
	*ret = n;
	n.dir = n.lock = -EBADF;
	return 0;
}

/* --- the container's record --- */

static int record_write(const struct names *n, const char *text)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_NAMES_ENTRY);
	char key[SKF_NAMES_ID + 2];

	skf_buf_str(&b, text);
	snprintf(key, sizeof(key), "=%s", n->id);
	return entry_write(n, key, &b);
}

/* Calls fn for each name and "@address" that the record lists. */
static int each_key(const struct names *n, char *record,
		    int (*fn)(const struct names *, const char *key, const char *words),
		    const char *const words[2])
{
	char *save = NULL, key[KEY_SIZE + 1];
	bool addrs = false;
	int r = 0;

	for (char *w = strtok_r(record, " ", &save); w && r == 0; w = strtok_r(NULL, " ", &save)) {
		if (strcmp(w, "/") == 0) {
			addrs = true;
			continue;
		}
		if (addrs && !words[1] && words[0])
			continue; /* no name to resolve the address to */
		if (skf_fmt(key, sizeof(key), "%s%s", addrs ? "@" : "", w) < 0)
			return -EBADMSG;
		r = fn(n, key, words[addrs]);
	}
	return r;
}

static int remove_locked(const struct names *n)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_NAMES_ENTRY + LONGEST_LINK + 1);
	static const char *const none[2] = {NULL, NULL};
	char key[SKF_NAMES_ID + 2];
	int r;

	snprintf(key, sizeof(key), "=%s", n->id);
	r = entry_read(n->dir, key, &b);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = b.p ? each_key(n, b.p, entry_update, none) : 0;
	return r < 0 ? r : record_write(n, "");
}

int skf_names_add(int run_fd, const char *network_id, const char *container_id, const struct skf_strv *names,
		  const struct skf_strv *addrs, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done)
	struct skf_buf nb = SKF_BUF(SKF_MAX_NAMES_ENTRY / 2), ab = SKF_BUF(SKF_MAX_NAMES_ENTRY / 2 - 8),
		       rec = SKF_BUF(SKF_MAX_NAMES_ENTRY);
	SKF_AUTO(names_done) struct names n = {.dir = -EBADF, .lock = -EBADF};
	char first[KEY_SIZE];
	int r;

	if (check_request(names, addrs, &nb, &ab, first, e) < 0 ||
	    names_open(run_fd, network_id, container_id, true, &n, e) < 0)
		return -1;
	skf_buf_fmt(&rec, "%s / %s", skf_buf_cstr(&nb), ab.p);
	r = remove_locked(&n);
	if (r == 0)
		r = rec.err ? rec.err : record_write(&n, rec.p);
	if (r == 0)
		r = each_key(&n, rec.p, entry_update, (const char *const[2]){ab.p, first[0] ? first : NULL});
	if (r == 0)
		return 0;
	if (r == -E2BIG || r == -EFBIG)
		skf_fail(e, SKF_ELIMIT,
			 "names of container '%.12s' on network '%s': one of them is shared by too many "
			 "containers",
			 container_id, network_id);
	else
		skf_fail_sys(e, r, "names of container '%.12s' on network '%s'", container_id, network_id);
	(void)remove_locked(&n); /* the first failure is the one to tell; the record stays for the reap */
	return -1;
}

int skf_names_remove(int run_fd, const char *network_id, const char *container_id, struct skf_err *e)
{
	SKF_AUTO(names_done) struct names n = {.dir = -EBADF, .lock = -EBADF};
	int r = names_open(run_fd, network_id, container_id, false, &n, e);

	if (r != 0)
		return r < 0 ? r : 0;
	r = remove_locked(&n);
	return r < 0 ? skf_fail_sys(e, r, "remove the names of container '%.12s' from network '%s'",
				    container_id, network_id)
		     : 0;
}

/* --- look-up --- */

/* 1 the entry's text in *ret (in mem, or in b when it is long), 0 there is none, -errno. */
static int find(int networks_fd, const char *network, const char *key, char mem[LONGEST_LINK + 1],
		struct skf_buf *b, char **ret)
{
	char path[160 + KEY_SIZE];
	ssize_t n;
	int r = skf_fmt(path, sizeof(path), "%s/names/%s", network, key);

	if (r < 0)
		return 0;
	n = readlinkat(networks_fd, path, mem, LONGEST_LINK + 1);
	if (n >= 0 && n <= LONGEST_LINK) {
		mem[n] = 0;
		*ret = mem;
		return 1;
	}
	if (n >= 0 || errno != EINVAL)
		return n >= 0 ? -EFBIG : errno == ENOENT || errno == ENAMETOOLONG ? 0 : -errno;
	r = skf_read_file_at(networks_fd, path, SKF_MAX_NAMES_ENTRY, b);
	*ret = b->p;
	return r == -ENOENT || (r == 0 && !b->p) ? 0 : r < 0 ? r : 1;
}

int skf_names_lookup(int networks_fd, const char *network_id, const char *name, struct skf_ip *ret,
		     size_t max, size_t *ret_n)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_NAMES_ENTRY);
	char mem[LONGEST_LINK + 1], key[KEY_SIZE], *text = NULL, *save = NULL;
	size_t n = 0;
	int r = normalize(name, key);

	if (r != 1)
		return 0;
	r = find(networks_fd, network_id, key, mem, &b, &text);
	if (r != 1)
		return r;
	for (char *w = strtok_r(text, " ", &save); w && n < max; w = strtok_r(NULL, " ", &save))
		if (w[0] != '=' && skf_ip_parse(w, &ret[n]) == 0)
			n++;
	*ret_n = n;
	return 1;
}

int skf_names_reverse(int networks_fd, const char *network_id, const struct skf_ip *ip, char *ret,
		      size_t size)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_NAMES_ENTRY);
	char mem[LONGEST_LINK + 1], key[1 + SKF_IP_TEXT], *text = NULL, *save = NULL, *w;
	int r;

	key_of_ip(ip, key);
	r = find(networks_fd, network_id, key, mem, &b, &text);
	if (r != 1)
		return r;
	w = strtok_r(text, " ", &save);
	w = w ? strtok_r(NULL, " ", &save) : NULL; /* behind the container */
	if (!w)
		return 0;
	r = skf_fmt(ret, size, "%s", w);
	return r < 0 ? r : 1;
}
