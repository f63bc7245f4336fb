/* registry/certs.c -- docker's certs.d: in <dir>/<host:port> each NAME.crt is a CA trusted for this registry
 * beside the system's, NAME.cert and NAME.key are a client certificate; of several the first by name is
 * shown, as curl knows one. The CAs go to curl as one PEM blob, so that other transfers of the process do
 * not see them. */
#include "base/fd.h"
#include "registry/registry_int.h"
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define MAX_PEM_BYTES (8u << 20)

static const char *const system_bundles[] = {"/etc/ssl/certs/ca-certificates.crt",
					     "/etc/pki/tls/certs/ca-bundle.crt"};

const char *skf_certs_system_dir(void)
{
	static const char *const dirs[] = {"/etc/ssl/certs",
					   "/etc/pki/ca-trust/extracted/pem/directory-hash"};
	for (size_t i = 0; i < SKF_ARRAY_LEN(dirs); i++) {
		SKF_AUTO_DIR DIR *d = opendir(dirs[i]);
		const struct dirent *de;
		while (d && (de = readdir(d)))
			if (strlen(de->d_name) == 10 && strspn(de->d_name, "0123456789abcdef") == 8 &&
			    skf_endswith(de->d_name, ".0"))
				return dirs[i];
	}
	return NULL;
}

bool skf_certs_widen(struct skf_registry *r, CURLcode rc)
{
	if (!r->ca_dir || r->ca_pem || rc != CURLE_PEER_FAILED_VERIFICATION)
		return false;
	r->ca_dir = NULL;
	return true;
}

static int add_pem(int dirfd, const char *name, const char *shown, struct skf_buf *pem, struct skf_err *e)
{
	int r = skf_read_file_at(dirfd, name, MAX_PEM_BYTES, pem);
	if (r < 0)
		return skf_fail_sys(e, r, "read certificate '%s/%s'", shown, name);
	skf_buf_chr(pem, '\n');
	return 0;
}

/* NAME.cert with NAME.key; half of a pair is an error, because the registry would refuse us without saying
 * why. */
static int add_client(struct skf_registry *r, int dirfd, const char *shown, const char *name,
		      struct skf_err *e)
{
	bool is_key = skf_endswith(name, ".key");
	size_t n = strlen(name) - strlen(is_key ? ".key" : ".cert");
	SKF_AUTO_FREE char *cert = NULL, *key = NULL;
	if (asprintf(&cert, "%s/%.*s.cert", shown, (int)n, name) < 0 ||
	    asprintf(&key, "%s/%.*s.key", shown, (int)n, name) < 0)
		return skf_fail(e, SKF_ENOMEM, "path of a client certificate");
	const char *other = is_key ? cert : key;
	if (faccessat(dirfd, other + strlen(shown) + 1, R_OK, 0) < 0)
		return skf_fail(e, SKF_EINVALID,
				"client certificate '%s/%s': '%s' must be there too and readable", shown,
				name, other);
	if (r->client_cert && strcmp(r->client_cert, cert) <= 0)
		return 0;
	free(r->client_cert);
	free(r->client_key);
	r->client_cert = SKF_TAKE(cert);
	r->client_key = SKF_TAKE(key);
	return 0;
}

int skf_certs_load(struct skf_registry *r, const char *dir, struct skf_err *e)
{
	SKF_AUTO_FREE char *path = NULL;
	SKF_AUTO(skf_buf_done) struct skf_buf pem = SKF_BUF(2 * MAX_PEM_BYTES);
	if (asprintf(&path, "%s/%s", dir, r->host) < 0)
		return skf_fail(e, SKF_ENOMEM, "path of certificates");
	SKF_AUTO_FD int fd = skf_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
	if (fd == -ENOENT || fd == -ENOTDIR)
		return 0;
	if (fd < 0)
		return skf_fail_sys(e, fd, "open certificates '%s'", path);
	int own = skf_dup_cloexec(fd);
	SKF_AUTO_DIR DIR *d = own < 0 ? NULL : fdopendir(own);
	if (!d) {
		skf_closep(&own);
		return skf_fail(e, SKF_ESYSTEM, "list certificates '%s'", path);
	}
	const struct dirent *de;
	while ((de = readdir(d))) {
		if (skf_endswith(de->d_name, ".crt") && add_pem(fd, de->d_name, path, &pem, e) < 0)
			return -1;
		if ((skf_endswith(de->d_name, ".cert") || skf_endswith(de->d_name, ".key")) &&
		    add_client(r, fd, path, de->d_name, e) < 0)
			return -1;
	}
	if (!pem.len)
		return pem.err ? skf_fail_sys(e, pem.err, "certificates '%s'", path) : 0;
	for (size_t i = 0; i < SKF_ARRAY_LEN(system_bundles); i++)
		if (skf_read_file_at(AT_FDCWD, system_bundles[i], MAX_PEM_BYTES, &pem) == 0)
			break;
	if (pem.err)
		return skf_fail_sys(e, pem.err, "certificates '%s'", path);
	r->ca_pem_n = pem.len;
	r->ca_pem = skf_buf_take(&pem);
	return 0;
}
