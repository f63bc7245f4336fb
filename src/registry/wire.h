/* registry/wire.h -- what engine and skiff-image say to each other over the socketpair that is fd 3 of skiff-image (argv {"skiff-image", "serve"}).
 * One request per process, records of base/record.h.
 *
 * PULL     str root, str reference (full), str platform ("" host), str docker_config ("" none), str certs_dir ("" default), u32 flags
 * VERIFY   str root, str diff_id ("" all layers), u32 flags        (system check: re-hash layers)
 * LAYERS   u32 n, then n * (str digest, u64 size, u32 already_present)     sent once, before the first PROGRESS
 * PROGRESS u32 n, then n * (u64 received, u32 phase: 0 waiting 1 downloading 2 extracting 3 done 4 already exists)   at most 10 per second
 * DONE     str top digest, str manifest digest, str config digest, u32 up_to_date
 * BAD      str diff_id, err     (VERIFY: one per damaged layer, then DONE)
 * FAILED   err
 * The worker ends when the peer closes the socket. */
#pragma once
#include "base/fwd.h"
enum skf_img_type {
	SKF_IMG_PULL = 1, SKF_IMG_VERIFY = 2, SKF_IMG_LAYERS = 16, SKF_IMG_PROGRESS = 17, SKF_IMG_DONE = 18, SKF_IMG_FAILED = 19, SKF_IMG_BAD = 20
};
enum { SKF_IMG_PLAIN_HTTP = 1, SKF_IMG_INSECURE_TLS = 2 };
#define SKF_IMG_VERSION 1
#define SKF_IMG_FD 3
