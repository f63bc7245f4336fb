/* oci/image_media.c -- media types of images and layers. One table. Pure. */
#include "oci/image_int.h"
#include <string.h>
#include <strings.h>

static const struct {
	const char *name;
	enum skf_media media;
} types[] = {
	{"application/vnd.oci.image.index.v1+json", SKF_MEDIA_INDEX},
	{"application/vnd.docker.distribution.manifest.list.v2+json", SKF_MEDIA_INDEX},
	{"application/vnd.oci.image.manifest.v1+json", SKF_MEDIA_MANIFEST},
	{"application/vnd.docker.distribution.manifest.v2+json", SKF_MEDIA_MANIFEST},
	{"application/vnd.oci.image.config.v1+json", SKF_MEDIA_CONFIG},
	{"application/vnd.docker.container.image.v1+json", SKF_MEDIA_CONFIG},
	{"application/vnd.oci.image.layer.v1.tar", SKF_MEDIA_LAYER_TAR},
	{"application/vnd.oci.image.layer.v1.tar+gzip", SKF_MEDIA_LAYER_GZIP},
	{"application/vnd.oci.image.layer.v1.tar+zstd", SKF_MEDIA_LAYER_ZSTD},
	{"application/vnd.docker.image.rootfs.diff.tar", SKF_MEDIA_LAYER_TAR},
	{"application/vnd.docker.image.rootfs.diff.tar.gzip", SKF_MEDIA_LAYER_GZIP},
	{"application/vnd.docker.image.rootfs.diff.tar.zstd", SKF_MEDIA_LAYER_ZSTD},
	{"application/vnd.oci.image.layer.nondistributable.v1.tar", SKF_MEDIA_LAYER_FOREIGN},
	{"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", SKF_MEDIA_LAYER_FOREIGN},
	{"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", SKF_MEDIA_LAYER_FOREIGN},
	{"application/vnd.docker.image.rootfs.foreign.diff.tar", SKF_MEDIA_LAYER_FOREIGN},
	{"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", SKF_MEDIA_LAYER_FOREIGN},
};

struct skf_str skf_media_base(const char *s)
{
	size_t n;

	s += strspn(s, " \t");
	n = strcspn(s, ";");
	while (n && (s[n - 1] == ' ' || s[n - 1] == '\t'))
		n--;
	return (struct skf_str){s, n};
}

enum skf_media skf_media_parse(const char *s)
{
	struct skf_str b = skf_media_base(s);

	for (size_t i = 0; i < SKF_ARRAY_LEN(types); i++) {
		if (strlen(types[i].name) == b.n && strncasecmp(types[i].name, b.p, b.n) == 0)
			return types[i].media;
	}
	return SKF_MEDIA_UNKNOWN;
}
