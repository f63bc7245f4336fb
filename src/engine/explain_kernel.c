/* engine/explain_kernel.c -- the kernel's side of explain: files of /proc/PID, the mounts that the container
 * sees, its cgroup's files, what is below its root. Must hold: /proc/PID is a descriptor of one process;
 * whatever cannot be read is NULL. */
#include "engine/explain_int.h"
#include "sys/path.h"
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_MOUNTINFO (4u << 20)
#define MAX_FILE      65536

const char *skf_ex_status(struct skf_ex *x, const char *name)
{
	const char *p = skf_buf_cstr(&x->status);
	size_t n = strlen(name);

	while (*p) {
		size_t line = strcspn(p, "\n");

		if (strncmp(p, name, n) == 0 && p[n] == ':') {
			char *v;

			p += n + 1;
			p += strspn(p, " \t");
			v = skf_arena_dup(x->a, p, strcspn(p, "\n"));
			for (size_t k = v ? strlen(v) : 0; k && v[k - 1] == ' '; k--)
				v[k - 1] = '\0';
			return v ? v : "";
		}
		p += line + (p[line] == '\n');
	}
	return "";
}

/* Last newlines cut. */
static char *text_of(struct skf_ex *x, struct skf_buf *b)
{
	size_t n = b->len;

	while (n && (b->p[n - 1] == '\n' || b->p[n - 1] == '\0'))
		n--;
	return skf_arena_dup(x->a, skf_buf_cstr(b), n);
}

char *skf_ex_proc_file(struct skf_ex *x, const char *path)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(MAX_FILE + 1);

	return x->running && skf_read_file_at(x->proc, path, MAX_FILE, &b) == 0 ? text_of(x, &b) : NULL;
}

char *skf_ex_ns(struct skf_ex *x, pid_t pid, const char *name)
{
	char path[64], link[64];
	ssize_t n;

	if (pid)
		snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, name);
	else
		snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
	n = readlink(path, link, sizeof(link));
	return n < 0 ? NULL : skf_arena_dup(x->a, link, (size_t)n);
}

/* "\040" -> " ", in place. */
static void unescape(char *s)
{
	char *out = s;

	for (; *s; out++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && isdigit((unsigned char)s[2]) &&
		    isdigit((unsigned char)s[3])) {
			*out = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 4;
		} else {
			*out = *s++;
		}
	}
	*out = '\0';
}

/* "<id> <parent> <dev> <root> <point> <options> [<tag>...] - <type> ..." of proc_pid_mountinfo(5). */
static bool parse_mount(char *line, struct skf_ex_mount *m)
{
	char *dash = strstr(line, " - "), *f[6], *p = line;

	if (!dash)
		return false;
	*dash = '\0';
	m->type = dash + 3;
	m->type[strcspn(m->type, " ")] = '\0';
	for (int i = 0; i < 6; i++) {
		f[i] = p;
		p += strcspn(p, " ");
		if (*p)
			*p++ = '\0';
		else if (i < 5)
			return false;
	}
	m->point = f[4];
	m->options = f[5];
	m->propagation = (char *)(uintptr_t)(strstr(p, "shared:")   ? "shared"
					     : strstr(p, "master:") ? "slave"
								    : "private");
	unescape(m->point);
	return true;
}

void skf_ex_read_mounts(struct skf_ex *x)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(MAX_MOUNTINFO + 1);
	size_t n = 1;
	char *text;

	if (skf_read_file_at(x->proc, "mountinfo", MAX_MOUNTINFO, &b) < 0)
		return;
	for (size_t i = 0; i < b.len; i++)
		n += b.p[i] == '\n';
	text = skf_arena_dup(x->a, skf_buf_cstr(&b), b.len);
	x->mounts = skf_arena_array(x->a, n, sizeof(*x->mounts));
	if (!text || !x->mounts) {
		x->err = -ENOMEM;
		return;
	}
	while (*text) {
		size_t len = strcspn(text, "\n");
		char *next = text + len + (text[len] == '\n');

		text[len] = '\0';
		x->n_mounts += parse_mount(text, &x->mounts[x->n_mounts]);
		text = next;
	}
}

const struct skf_ex_mount *skf_ex_mount_at(const struct skf_ex *x, const char *path)
{
	for (size_t i = x->n_mounts; i-- > 0;)
		if (skf_streq(x->mounts[i].point, path))
			return &x->mounts[i];
	return NULL;
}

bool skf_ex_is_v2(const struct skf_ex *x)
{
	return x->has_cg && x->cg.layout.mode == SKF_CG_V2;
}

char *skf_ex_cgroup(struct skf_ex *x, const char *controller, const char *file)
{
	const struct skf_cg_hier *h;
	char text[4096];
	unsigned i = 0;

	if (!x->has_cg || !file)
		return NULL;
	if (!skf_ex_is_v2(x)) {
		h = skf_cg_find(&x->cg.layout, controller);
		if (!h)
			return NULL;
		i = (unsigned)(h - x->cg.layout.h);
	}
	return skf_cg_read(&x->cg, i, file, text, sizeof(text)) < 0 ? NULL : skf_arena_strdup(x->a, text);
}

int skf_ex_stat(struct skf_ex *x, const char *path, struct stat *ret)
{
	SKF_AUTO_FD int root = x->running ? skf_openat(x->proc, "root", O_PATH | O_DIRECTORY, 0) : -EBADF;
	SKF_AUTO_FD int fd =
		root < 0 ? -EBADF : skf_path_open_nofollow(root, path + (*path == '/'), O_PATH, 0);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return 0;
	if (ret)
		*ret = st;
	return 1;
}
