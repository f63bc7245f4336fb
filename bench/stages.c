/* bench/stages.c: what the libraries alone take for the layers of one image on one core, stage after stage:
 * the floor of a pull. Usage: stages REGISTRY-URL REPOSITORY OCI-LAYOUT SCRATCH-DIRECTORY receive  libcurl,
 * bytes thrown away            hash     SHA-256 of the compressed bytes (OpenSSL) inflate  ISA-L or zstd
 * into one block          hash-tar SHA-256 of the tar tar      libarchive over the tar in memory     write
 * open, write, owner, mode, times of every entry from memory (tar taken off) */
#include <archive.h>
#include <archive_entry.h>
#include <curl/curl.h>
#include <err.h>
#include <fcntl.h>
#include <isa-l/igzip_lib.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

#define BLOCK (256u << 10)

struct layer {
	char digest[80];
	const unsigned char *p; /* compressed */
	size_t n;
	unsigned char *tar;
	size_t tar_n, tar_cap;
};
static struct layer layers[200];
static unsigned n_layers;
static const char *url, *repo;
static char block[BLOCK];

static double wall0, cpu0;
static double now(int clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}
static void begin(void)
{
	wall0 = now(CLOCK_MONOTONIC);
	cpu0 = now(CLOCK_PROCESS_CPUTIME_ID);
}
static double end(const char *stage, double bytes, double less)
{
	double wall = now(CLOCK_MONOTONIC) - wall0 - less, cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu0 - less;
	printf("%-10s %9.3f %9.3f %9.0f\n", stage, wall, cpu, bytes / 1e6 / (cpu > 0 ? cpu : 1));
	return cpu;
}

static const void *map(const char *path, size_t *n)
{
	struct stat st;
	int fd = open(path, O_RDONLY);
	if (fd < 0 || fstat(fd, &st) < 0)
		err(1, "%s", path);
	*n = (size_t)st.st_size;
	void *p = mmap(NULL, *n, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (p == MAP_FAILED)
		err(1, "%s", path);
	close(fd);
	return p;
}

/* The digests of the layers, by the shape that bench/mkimages.py writes. */
static void find_layers(const char *oci, const char *name)
{
	char path[600], want[200];
	size_t n;
	snprintf(path, sizeof(path), "%s/index.json", oci);
	const void *text = map(path, &n);
	char *index = strndup(text, n), *at, *m;
	snprintf(want, sizeof(want), "ref.name\": \"%s\"", name);
	at = strstr(index, want);
	if (!at)
		errx(1, "no image '%s'", name);
	do
		at--;
	while (strncmp(at, "sha256:", 7) != 0);
	snprintf(path, sizeof(path), "%s/blobs/sha256/%.64s", oci, at + 7);
	text = map(path, &n);
	m = strndup(text, n);
	for (at = strstr(m, "\"layers\""); at && (at = strstr(at, "sha256:")); at += 7) {
		struct layer *l = &layers[n_layers++];
		snprintf(l->digest, sizeof(l->digest), "%.71s", at);
		snprintf(path, sizeof(path), "%s/blobs/sha256/%s", oci, l->digest + 7);
		l->p = map(path, &l->n);
	}
}

static size_t drop(void *p, size_t size, size_t n, void *arg)
{
	(void)p;
	*(double *)arg += (double)(size * n);
	return size * n;
}

static double receive(void)
{
	double got = 0;
	CURL *c = curl_easy_init();
	for (unsigned i = 0; i < n_layers; i++) {
		char u[600];
		snprintf(u, sizeof(u), "%s/v2/%s/blobs/%s", url, repo, layers[i].digest);
		curl_easy_setopt(c, CURLOPT_URL, u);
		curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, drop);
		curl_easy_setopt(c, CURLOPT_WRITEDATA, &got);
		curl_easy_setopt(c, CURLOPT_BUFFERSIZE, 256L << 10);
		if (curl_easy_perform(c) != CURLE_OK)
			errx(1, "GET %s", u);
	}
	curl_easy_cleanup(c);
	return got;
}

static void hash(const unsigned char *p, size_t n)
{
	unsigned char out[32];
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	EVP_DigestInit_ex(c, EVP_sha256(), NULL);
	for (size_t k; n; p += k, n -= k) {
		k = n < BLOCK ? n : BLOCK;
		EVP_DigestUpdate(c, p, k);
	}
	EVP_DigestFinal_ex(c, out, NULL);
	EVP_MD_CTX_free(c);
}

/* keep: the tar stays in memory (not measured). */
static double inflate_layer(struct layer *l, int keep)
{
	double made = 0;
	if (l->p[0] == 0x1f) {
		static struct inflate_state z;
		isal_inflate_init(&z);
		z.crc_flag = ISAL_GZIP;
		z.next_in = (uint8_t *)l->p;
		z.avail_in = (uint32_t)l->n;
		do {
			z.next_out = (uint8_t *)block;
			z.avail_out = BLOCK;
			if (isal_inflate(&z) != ISAL_DECOMP_OK)
				errx(1, "gzip");
			size_t k = BLOCK - z.avail_out;
			if (keep)
				memcpy(l->tar + (size_t)made, block, k);
			made += (double)k;
		} while (z.block_state != ISAL_BLOCK_FINISH || z.avail_out == 0);
	} else {
		ZSTD_DCtx *d = ZSTD_createDCtx();
		ZSTD_inBuffer in = {l->p, l->n, 0};
		while (in.pos < in.size) {
			ZSTD_outBuffer o = {block, BLOCK, 0};
			if (ZSTD_isError(ZSTD_decompressStream(d, &o, &in)))
				errx(1, "zstd");
			if (keep)
				memcpy(l->tar + (size_t)made, block, o.pos);
			made += (double)o.pos;
		}
		ZSTD_freeDCtx(d);
	}
	return made;
}

/* A layer need not bring the directories that a lower one has. */
static void parents(int dir, const char *path)
{
	char p[4096];
	for (const char *s = path; (s = strchr(s, '/')); s++) {
		snprintf(p, sizeof(p), "%.*s", (int)(s - path), path);
		mkdirat(dir, p, 0755);
	}
}

static void parents_if_missing(int dir, const char *path)
{
	static char last[4096];
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;
	if (n == 0 || (strncmp(last, path, n) == 0 && last[n] == 0))
		return;
	snprintf(last, sizeof(last), "%.*s", (int)n, path);
	if (faccessat(dir, last, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		parents(dir, path);
}

static void place(int dir, struct archive *a, struct archive_entry *e)
{
	const char *path = archive_entry_pathname(e), *link = archive_entry_hardlink(e),
		   *target = archive_entry_symlink(e);
	struct timespec t[2] = {{.tv_sec = archive_entry_mtime(e)}, {.tv_sec = archive_entry_mtime(e)}};
	const void *p;
	size_t n;
	la_int64_t off;
	path += strspn(path, "/");
	if (strcmp(path, "./") == 0)
		return;
	parents_if_missing(dir, path);
	if (link) {
		if (linkat(dir, link + strspn(link, "/"), dir, path, 0) < 0)
			warn("link %s", path);
		return;
	}
	if (archive_entry_filetype(e) == AE_IFDIR) {
		mkdirat(dir, path, 0755);
		return;
	}
	if (target) {
		if (symlinkat(target, dir, path) < 0)
			warn("symlink %s", path);
		fchownat(dir, path, (uid_t)archive_entry_uid(e), (gid_t)archive_entry_gid(e),
			 AT_SYMLINK_NOFOLLOW);
		utimensat(dir, path, t, AT_SYMLINK_NOFOLLOW);
		return;
	}
	if (archive_entry_filetype(e) != AE_IFREG)
		return;
	int fd = openat(dir, path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0) {
		warn("%s", path);
		return;
	}
	while (archive_read_data_block(a, &p, &n, &off) == ARCHIVE_OK)
		if (pwrite(fd, p, n, off) != (ssize_t)n)
			err(1, "%s", path);
	if (fchown(fd, (uid_t)archive_entry_uid(e), (gid_t)archive_entry_gid(e)) < 0 ||
	    fchmod(fd, archive_entry_perm(e)) < 0 || futimens(fd, t) < 0)
		err(1, "%s", path);
	close(fd);
}

static void read_tar(const struct layer *l, int dir)
{
	struct archive *a = archive_read_new();
	struct archive_entry *e;
	const void *p;
	size_t n;
	la_int64_t off;
	archive_read_support_format_tar(a);
	if (archive_read_open_memory(a, l->tar, l->tar_n) != ARCHIVE_OK)
		errx(1, "tar");
	while (archive_read_next_header(a, &e) == ARCHIVE_OK) {
		if (dir >= 0)
			place(dir, a, e);
		else
			while (archive_read_data_block(a, &p, &n, &off) == ARCHIVE_OK)
				;
	}
	archive_read_free(a);
}

int main(int argc, char **argv)
{
	double bytes = 0, tar_bytes = 0, tar_cpu;
	char path[600];
	if (argc != 5)
		errx(2, "usage: stages REGISTRY-URL REPOSITORY OCI-LAYOUT SCRATCH-DIRECTORY");
	url = argv[1];
	repo = argv[2];
	find_layers(argv[3], repo);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("\n== %s: the libraries alone, one core\n%-10s %9s %9s %9s\n", repo, "", "wall s", "cpu s",
	       "MB/cpu s");
	begin();
	bytes = receive();
	end("receive", bytes, 0);
	begin();
	for (unsigned i = 0; i < n_layers; i++)
		hash(layers[i].p, layers[i].n);
	end("hash", bytes, 0);
	begin();
	for (unsigned i = 0; i < n_layers; i++)
		tar_bytes += (double)(layers[i].tar_n = (size_t)inflate_layer(&layers[i], 0));
	end("inflate", bytes, 0);
	for (unsigned i = 0; i < n_layers; i++) {
		layers[i].tar = malloc(layers[i].tar_n);
		if (!layers[i].tar)
			err(1, "memory");
		inflate_layer(&layers[i], 1);
	}
	begin();
	for (unsigned i = 0; i < n_layers; i++)
		hash(layers[i].tar, layers[i].tar_n);
	end("hash-tar", tar_bytes, 0);
	begin();
	for (unsigned i = 0; i < n_layers; i++)
		read_tar(&layers[i], -1);
	tar_cpu = end("tar", tar_bytes, 0);
	begin();
	for (unsigned i = 0; i < n_layers; i++) {
		snprintf(path, sizeof(path), "%s.%u", argv[4], i);
		if (mkdir(path, 0700) < 0)
			err(1, "%s", path);
		int dir = open(path, O_RDONLY | O_DIRECTORY);
		read_tar(&layers[i], dir);
		close(dir);
	}
	end("write", tar_bytes, tar_cpu);
	begin();
	sync();
	end("sync", tar_bytes, 0);
	for (unsigned i = 0; i < n_layers; i++) {
		snprintf(path, sizeof(path), "rm -rf '%s.%u'", argv[4], i);
		if (system(path) != 0)
			warnx("%s", path);
	}
	return 0;
}
