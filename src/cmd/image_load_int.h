/* cmd/image_load_int.h -- an archive being loaded: what image_load.c and image_load_layers.c share. */
#pragma once
#include "base/arena.h"
#include "cmd/image_place.h"
#include "store/unpack.h"

struct lay {
	struct skf_desc desc; /* digest "" and media unknown: what the file is */
	struct skf_digest diff_id;
	struct image_region region;
	bool present;
	int result;
	struct skf_unpack_result got;
	struct skf_err err;
};
struct load {
	const struct image_peer *peer;
	struct skf_store *store;
	struct skf_lease *lease;
	struct skf_arena a;
	struct image_src *src;
	struct skf_platform platform;
	const char *name;       /* for images that have none; "" none */
	struct skf_jarr docker; /* struct image_docker_entry, of manifest.json */
	bool has_docker;
	size_t n_images;
};

/* --- image_load_layers.c --- */
/* All layers of one image into the store; several at a time. NOTFOUND, CORRUPT, LIMIT, SYSTEM, UNAVAILABLE
 * when the peer has gone. Blocks on the disk. */
int image_load_layers(struct load *l, struct lay *v, size_t n, struct skf_err *e);
