/* oci/platform.c -- platforms of images: parsing, normal forms, and which of them run on which. Rules of
 * containerd's platforms package, because images are built for them. Pure; nothing blocks (uname only for
 * machines without a name here). */
#include "oci/image.h"
#include "base/buf.h"
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

/* Names that mean the same. variant: implied when none was given; NULL keeps what is there. */
static const struct {
	const char *from, *to, *variant;
} arch_alias[] = {
	{"x86_64", "amd64", NULL},      {"x86-64", "amd64", NULL},  {"i386", "386", NULL},
	{"i486", "386", NULL},          {"i586", "386", NULL},      {"i686", "386", NULL},
	{"aarch64", "arm64", NULL},     {"armhf", "arm", "v7"},     {"armel", "arm", "v6"},
	{"armv6l", "arm", "v6"},        {"armv7l", "arm", "v7"},    {"ppc64el", "ppc64le", NULL},
	{"mips64el", "mips64le", NULL}, {"mipsel", "mipsle", NULL},
};
static const char *const known_os[] = {
	"linux",   "windows",   "darwin",  "freebsd", "netbsd", "openbsd", "solaris", "aix",
	"android", "dragonfly", "illumos", "ios",     "js",     "plan9",   "wasip1",
};
static const char *const known_arch[] = {
	"386",    "amd64", "arm",     "arm64",   "loong64", "mips",    "mips64", "mips64le",
	"mipsle", "ppc64", "ppc64le", "riscv64", "s390x",   "sparc64", "wasm",
};

static bool in_list(const char *const *list, size_t n, const char *s)
{
	for (size_t i = 0; i < n; i++) {
		if (skf_streq(list[i], s))
			return true;
	}
	return false;
}

static void set(char *dst, size_t size, const char *s)
{
	snprintf(dst, size, "%s", s);
}

static void lower(char *s)
{
	for (; *s; s++) {
		if (*s >= 'A' && *s <= 'Z')
			*s = (char)(*s - 'A' + 'a');
	}
}

static void normalize(struct skf_platform *p)
{
	char *v = p->variant;

	lower(p->os);
	lower(p->arch);
	lower(v);
	if (skf_streq(p->os, "macos"))
		set(p->os, sizeof(p->os), "darwin");
	for (size_t i = 0; i < SKF_ARRAY_LEN(arch_alias); i++) {
		if (!skf_streq(p->arch, arch_alias[i].from))
			continue;
		set(p->arch, sizeof(p->arch), arch_alias[i].to);
		if (arch_alias[i].variant && !v[0])
			set(v, sizeof(p->variant), arch_alias[i].variant);
		break;
	}
	if (v[0] >= '0' && v[0] <= '9' && v[1] == '\0') {
		v[1] = v[0];
		v[0] = 'v';
		v[2] = '\0';
	}
	if (skf_streq(p->arch, "arm") && !v[0])
		set(v, sizeof(p->variant), "v7");
	if ((skf_streq(p->arch, "arm64") && skf_streq(v, "v8")) ||
	    (skf_streq(p->arch, "amd64") && skf_streq(v, "v1")))
		v[0] = '\0';
}

void skf_platform_host(struct skf_platform *ret)
{
	struct skf_platform p = {.os = "linux"};
#if defined(__x86_64__) && !defined(__ILP32__)
	set(p.arch, sizeof(p.arch), "amd64");
#elif defined(__aarch64__)
	set(p.arch, sizeof(p.arch), "arm64");
#else
	struct utsname u;
	if (uname(&u) == 0)
		snprintf(p.arch, sizeof(p.arch), "%.31s", u.machine);
#endif
	normalize(&p);
	*ret = p;
}

/* Next part up to '/': letters, digits, '_', '.', '-', a letter or digit first. Returns what follows, or
 * NULL. */
static const char *part(const char *s, char *out, size_t size)
{
	size_t n = 0;

	while (s[n] && s[n] != '/') {
		char c = s[n];
		bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			  (n && (c == '_' || c == '.' || c == '-'));
		if (!ok || n + 1 >= size)
			return NULL;
		out[n++] = c;
	}
	out[n] = '\0';
	return n ? s + n : NULL;
}

static int bad(const char *s, struct skf_err *e)
{
	return skf_fail(
		e, SKF_EINVALID,
		"invalid platform '%.100s': expected os/arch[/variant], for instance 'linux/arm64/v8'", s);
}

int skf_platform_parse(const char *s, struct skf_platform *ret, struct skf_err *e)
{
	struct skf_platform p = {0}, host;
	const char *rest = part(s, p.os, sizeof(p.os));

	if (!rest)
		return bad(s, e);
	skf_platform_host(&host);
	if (*rest == '\0') {
		struct skf_platform a = {0};
		set(a.arch, sizeof(a.arch), p.os);
		set(a.os, sizeof(a.os), host.os);
		normalize(&p);
		normalize(&a);
		if (in_list(known_os, SKF_ARRAY_LEN(known_os), p.os)) {
			set(p.arch, sizeof(p.arch), host.arch);
			set(p.variant, sizeof(p.variant), host.variant);
		} else if (in_list(known_arch, SKF_ARRAY_LEN(known_arch), a.arch)) {
			p = a;
		} else {
			return bad(s, e);
		}
		*ret = p;
		return 0;
	}
	rest = part(rest + 1, p.arch, sizeof(p.arch));
	if (rest && *rest)
		rest = part(rest + 1, p.variant, sizeof(p.variant));
	if (!rest || *rest)
		return bad(s, e);
	normalize(&p);
	*ret = p;
	return 0;
}

/* "v7" -> 7, "" -> what a plain name of that architecture means; 0 when it has no number. */
static int level(const char *arch, const char *variant)
{
	if (!variant[0])
		return skf_streq(arch, "arm64") ? 8 : 1;
	if (variant[0] != 'v' || variant[1] < '1' || variant[1] > '9' || variant[2])
		return 0;
	return variant[1] - '0';
}

/* Scores: 100 the same; 40..99 an older level of the same architecture; 1..39 an architecture that this one
 * also executes. */
int skf_platform_score(const struct skf_platform *want, const struct skf_platform *have)
{
	struct skf_platform w = *want, h = *have;
	int lw, lh;

	normalize(&w);
	normalize(&h);
	if (!skf_streq(w.os, h.os))
		return -1;
	if (skf_streq(w.arch, h.arch)) {
		if (skf_streq(w.variant, h.variant))
			return 100;
		lw = level(w.arch, w.variant);
		lh = level(h.arch, h.variant);
		return lw && lh && lh <= lw ? 99 - (lw - lh) : -1;
	}
	if (skf_streq(w.arch, "amd64") && skf_streq(h.arch, "386"))
		return 1;
	if (skf_streq(w.arch, "arm64") && skf_streq(h.arch, "arm")) {
		lh = level(h.arch, h.variant);
		return lh >= 5 && lh <= 8 ? 10 + lh : -1;
	}
	return -1;
}
