/* network/resolver_file.c -- reading the file of a container below run/resolver. It is our own, but whoever
 * may write there is not trusted with more than a wrong answer: every count has a limit, every value is
 * checked. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/proc.h"
#include "network/resolver_int.h"
#include <ctype.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

SKF_DEFINE_AUTO(struct skf_resolver_file, skf_resolver_file_free)

bool skf_resolver_id_ok(const char *id)
{
	size_t n = strlen(id);

	if (n == 0 || n > SKF_MAX_NAME_BYTES || id[0] == '.' || strcmp(id, SKF_RESOLVER_SOCK) == 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isascii((unsigned char)id[i]) ||
		    !(isalnum((unsigned char)id[i]) || strchr("_.-", id[i])))
			return false;
	return true;
}

/* if_nametoindex, which uses sockets that skiff-resolver may not have (dns_lock.c). 0: there is none. */
static uint32_t index_of(const char *name)
{
	SKF_AUTO_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq r = {0};

	if (fd < 0 || strlen(name) >= sizeof(r.ifr_name))
		return 0;
	memcpy(r.ifr_name, name, strlen(name));
	return ioctl(fd, SIOCGIFINDEX, &r) < 0 ? 0 : (uint32_t)r.ifr_ifindex;
}

/* Cuts "%eth0" off; a link-local address is nothing without it. */
static int parse_scope(char *addr, uint32_t *ret)
{
	char *zone = strchr(addr, '%');

	*ret = 0;
	if (!zone)
		return 0;
	*zone++ = 0;
	*ret = index_of(zone);
	return *ret || skf_parse_u32(zone, ret) == 0 ? 0 : -EINVAL;
}

int skf_dns_server_parse(const char *s, struct skf_dns_server_addr *ret)
{
	struct skf_dns_server_addr a = {.port = 53};
	char text[SKF_IP_TEXT + IF_NAMESIZE + 10], *port = NULL, *addr = text;
	uint32_t v;

	if (skf_fmt(text, sizeof(text), "%s", s) < 0)
		return -EINVAL;
	if (text[0] == '[') {
		char *end = strchr(text, ']');

		if (!end || (end[1] && end[1] != ':'))
			return -EINVAL;
		port = end[1] ? end + 2 : NULL;
		*end = 0;
		addr++;
	} else if (strchr(text, ':') && !strchr(strchr(text, ':') + 1, ':')) {
		port = strchr(text, ':') + 1;
		port[-1] = 0;
	}
	if (port) {
		if (skf_parse_u32(port, &v) < 0 || v == 0 || v > UINT16_MAX)
			return -EINVAL;
		a.port = (uint16_t)v;
	}
	if (parse_scope(addr, &a.scope) < 0 || skf_ip_parse(addr, &a.ip) < 0)
		return -EINVAL;
	*ret = a;
	return 0;
}

void skf_resolver_file_free(struct skf_resolver_file *f)
{
	if (!f)
		return;
	free(f->servers);
	free(f->networks);
	free(f->egress);
	free(f->addrs);
	free(f->text);
	free(f);
}

/* Room for one more; NULL when memory or the limit is used up. */
static void *grow(void *array, size_t size, unsigned n, unsigned max)
{
	return n < max ? reallocarray(array, n + 1, size) : NULL;
}
#define ADD(f, member, n_member, max, value)                                                                \
	__extension__({                                                                                     \
		void *p_ = grow((f)->member, sizeof(*(f)->member), (f)->n_member, (max));                   \
		if (p_) {                                                                                   \
			(f)->member = p_;                                                                   \
			(f)->member[(f)->n_member++] = (value);                                             \
		}                                                                                           \
		p_ ? 0 : -E2BIG;                                                                            \
	})

/* --- one function per word of a line; the value is NUL-terminated and lives as long as f --- */
static int on_version(struct skf_resolver_file *f, char *v)
{
	return strcmp(v, "1") == 0 ? 0 : -EPROTONOSUPPORT;
}

static int on_process(struct skf_resolver_file *f, char *v)
{
	char boot[37];
	pid_t pid;
	int r = skf_proc_parse(v, &pid, &f->start_time, boot);

	if (r == 0)
		f->pid = (uint32_t)pid;
	return r;
}

static int on_netns(struct skf_resolver_file *f, char *v)
{
	return skf_parse_u64(v, &f->netns) < 0 ? -EBADMSG : 0;
}

static int on_network(struct skf_resolver_file *f, char *v)
{
	char *name = strchr(v, ' ');

	if (name)
		*name++ = 0;
	if (!skf_resolver_id_ok(v))
		return -EBADMSG;
	return ADD(f, networks, n_networks, SKF_MAX_DNS_NETWORKS,
		   ((struct skf_resolver_net){v, name ? name : ""}));
}

static int on_server(struct skf_resolver_file *f, char *v)
{
	struct skf_dns_server_addr a;

	if (skf_dns_server_parse(v, &a) < 0)
		return -EBADMSG;
	return ADD(f, servers, n_servers, SKF_MAX_DNS_SERVERS, a);
}

static int on_egress(struct skf_resolver_file *f, char *v)
{
	return ADD(f, egress, n_egress, SKF_MAX_EGRESS_RULES, v);
}

static int on_address(struct skf_resolver_file *f, char *v)
{
	struct skf_ip ip;

	if (skf_ip_parse(v, &ip) < 0)
		return -EBADMSG;
	return ADD(f, addrs, n_addrs, 2 * SKF_MAX_DNS_NETWORKS, ip);
}

static int on_internal(struct skf_resolver_file *f, char *v)
{
	f->internal = true;
	return 0;
}

static int on_ndots(struct skf_resolver_file *f, char *v)
{
	f->ndots = true;
	return 0;
}

static int on_other(struct skf_resolver_file *f, char *v)
{
	return 0; /* for inspect only */
}

static const struct {
	const char *word;
	int (*fn)(struct skf_resolver_file *f, char *value);
} words[] = {
	{"v", on_version},     {"process", on_process}, {"network", on_network},   {"server", on_server},
	{"search", on_other},  {"option", on_other},    {"internal", on_internal}, {"ndots", on_ndots},
	{"egress", on_egress}, {"address", on_address}, {"netns", on_netns},
};

static int parse_line(struct skf_resolver_file *f, char *line)
{
	char *value = strchr(line, ' ');

	if (value)
		*value++ = 0;
	for (size_t i = 0; i < SKF_ARRAY_LEN(words); i++)
		if (strcmp(line, words[i].word) == 0)
			return words[i].fn(f, value ? value : line + strlen(line));
	return 0; /* of a later version */
}

int skf_resolver_file_read_fd(int fd, const char *id, struct skf_resolver_file **ret, struct skf_err *e)
{
	SKF_AUTO(skf_resolver_file_freep) struct skf_resolver_file *f = calloc(1, sizeof(*f));
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_DNS_STATE + 1);
	char *save = NULL;
	int r = f ? skf_read_fd(fd, SKF_MAX_DNS_STATE, &b) : -ENOMEM;

	if (r < 0)
		return skf_fail_sys(e, r, "file '%s' of the resolver", id);
	f->text = skf_buf_take(&b);
	for (char *l = f->text ? strtok_r(f->text, "\n", &save) : NULL; l && r == 0;
	     l = strtok_r(NULL, "\n", &save))
		r = parse_line(f, l);
	if (r == 0 && !f->pid)
		r = -EBADMSG;
	if (r == -E2BIG)
		return skf_fail(
			e, SKF_ELIMIT,
			"file '%s' of the resolver: too many networks, servers or names, or no memory", id);
	if (r < 0)
		return skf_fail(e, SKF_ECORRUPT, "file '%s' of the resolver is damaged", id);
	*ret = SKF_TAKE(f);
	return 0;
}

int skf_resolver_file_read(int dir_fd, const char *id, struct skf_resolver_file **ret, struct skf_err *e)
{
	SKF_AUTO_FD int fd = skf_openat(dir_fd, id, O_RDONLY | O_NOFOLLOW, 0);

	return fd < 0 ? skf_fail_sys(e, fd, "file '%s' of the resolver", id)
		      : skf_resolver_file_read_fd(fd, id, ret, e);
}
