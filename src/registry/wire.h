/* registry/wire.h -- what engine and skiff-image say to each other over the socketpair that is fd 3 of
 * skiff-image (argv {"skiff-image", "serve"}). One request per process, records of base/record.h.
 *
 * - PULL: str root, str reference (full), str platform ("" host), str docker_config ("" none), str
 *   certs_dir ("" default), u32 flags
 * - VERIFY: str root, str diff_id ("" all layers and blobs), u32 flags (system check: re-hash)
 * - LAYERS: u32 n, then n * (str digest, u64 size, u32 already_present); sent once, before the first
 *   PROGRESS
 * - PROGRESS: u32 n, then n * (u64 received, u32 phase: 0 waiting 1 downloading 2 extracting 3 done 4
 *   already exists) at most 10 per second
 * - DONE: str top digest, str manifest digest, str config digest, u32 up_to_date
 * - BAD: str digest, err, u32 blob (0: a layer); (VERIFY: one per damaged layer or blob, then DONE)
 * - FAILED: err
 * - PUSH: str root, str manifest digest (of an image of the store), str destination (full reference), str
 *   docker_config, str certs_dir, u32 flags, u64 bytes of a chunk (0: one request per blob), u32 parallel
 *   uploads (0: the default); answers LAYERS (again when layers were packed anew), PROGRESS (phase 1:
 *   pushing, 3: pushed, 5: mounted), DONE with u64 bytes of the manifest behind the rest
 * - REMOTE: u32 what (enum skf_img_remote), str reference (full), str argument, str platform, str
 *   docker_config, str certs_dir, u32 flags, str auth_file, str user, str password; answers TEXT as often
 *   as needed, then DONE
 * - LOGIN: str server, str user, str password, str docker_config (file that is written), str certs_dir, u32
 *   flags; answers TEXT, DONE
 * - LOGOUT: str server, str docker_config, u32 enum skf_img_logout; answers TEXT, DONE
 * - TEXT: bytes of the answer's document
 * - SAVE: str root, u32 what (enum skf_img_format), u32 n, n * str name; one fd: file, pipe or directory
 *   that is written; answers DONE
 * - LOAD: str root, str platform, str name of images without one ("" none); one fd: file, pipe or
 *   directory; answers TEXT, "NAME\tCONFIG\n" for each name (NAME empty: none), then DONE
 * - IMPORT: str root, str reference ("" none), str config object (JSON), str comment, str platform, u32 n,
 *   n * (str key, str value): annotations of the manifest; one fd: a tar; answers DONE
 * - COMMIT: str root, str container id, str manifest digest of its image, str reference ("" none), str
 *   config object, str author, str comment, str name of the directory of the container that has its changes
 *   in overlay's form, u32 flags (SKF_COMMIT_SQUASH ...); answers DONE
 * - EXPORT: str root, str container id, u32 n, n * str diff-id (lowest first); one fd: the tar goes there;
 *   answers DONE
 * - CHANGES: str root, str container id, str name of its directory with the changes in overlay's form; one
 *   fd: they go there as the tar of a layer; answers DONE
 * - APPLY: str root, str container id, u32 over (0: its rw/ is an empty upper directory; 1: it has all
 *   files); one fd: the tar of a layer, which goes into rw/; answers DONE
 * - SQUEEZE: u32 compression (enum skf_img_squeeze: GZIP, ZSTD or NONE; AS_IS: what is compressed somehow
 *   is decompressed); two fds: what is read to its end, and where it goes; answers DONE
 * - COPY: str root, place source, place destination, u32 flags (enum skf_img_copy), str platform, u32
 *   format (enum skf_img_as), u32 compression (enum skf_img_squeeze), u32 level + 1 (0: the compressor's
 *   default), u32 n, n * str more tags; answers TEXT, one line for each step, then DONE. place: u32 kind
 *   (enum skf_img_place), str name, u32 which of the record's fds + 1 (0: none), str docker_config, str
 *   certs_dir, str auth_file, str user, str password, u32 flags
 * - DESCRIBE: str root, place, u32 flags (SKF_COPY_ALL), str platform; answers TEXT
 *   {"manifests":[descriptor ...]}: the image's manifest, or those of its index; then DONE
 * - ARTIFACT: place (OCI layout directory that is written, and the entry's name), str artifact type, place
 *   of the subject (kind REGISTRY; name "" none), u32 n, n * str annotation ("KEY=VALUE"), u32 files, files
 *   * (str title, str media type, u32 which of the fds + 1); answers DONE with the manifest's digest
 * - YAML: one fd: a YAML document; answers TEXT, the same as JSON, then DONE
 *
 * Wherever flags say how a registry is reached, SKF_IMG_TOKEN in them says that one str follows them: the
 * user's own bearer token, for the host of the request's reference or the place's name and no other;
 * SKF_IMG_CREDS that after it come a file of credentials, a user's name and a password, these two likewise
 * for that host alone; SKF_IMG_RETRY that after those come u32 how often a request is tried again and u32
 * milliseconds between (0: longer each time). The worker ends when the peer closes the socket. */
#pragma once
#include "base/fwd.h"
enum skf_img_type {
	SKF_IMG_PULL = 1,
	SKF_IMG_VERIFY = 2,
	SKF_IMG_LAYERS = 16,
	SKF_IMG_PROGRESS = 17,
	SKF_IMG_DONE = 18,
	SKF_IMG_FAILED = 19,
	SKF_IMG_BAD = 20,
	SKF_IMG_PUSH = 32,
	SKF_IMG_REMOTE = 33,
	SKF_IMG_LOGIN = 34,
	SKF_IMG_LOGOUT = 35,
	SKF_IMG_TEXT = 36,
	SKF_IMG_SAVE = 48,
	SKF_IMG_LOAD = 49,
	SKF_IMG_IMPORT = 50,
	SKF_IMG_COMMIT = 51,
	SKF_IMG_EXPORT = 52,
	SKF_IMG_CHANGES = 53,
	SKF_IMG_APPLY = 54,
	SKF_IMG_SQUEEZE = 55,
	SKF_IMG_COPY = 64,
	SKF_IMG_DESCRIBE = 65,
	SKF_IMG_ARTIFACT = 66,
	SKF_IMG_YAML = 67
};
enum skf_img_format { SKF_IMG_DOCKER_ARCHIVE, SKF_IMG_OCI };
enum skf_img_remote {
	SKF_IMG_REMOTE_INSPECT,
	SKF_IMG_REMOTE_RAW,
	SKF_IMG_REMOTE_CONFIG,
	SKF_IMG_REMOTE_TAGS,
	SKF_IMG_REMOTE_REFERRERS /* argument: artifact type */,
	SKF_IMG_REMOTE_DELETE /* argument: "", "tag" or "blob" */,
	SKF_IMG_REMOTE_SEARCH /* reference: any of the registry; argument: how many at most, '\n', word */
};
enum {
	SKF_IMG_PLAIN_HTTP = 1,
	SKF_IMG_INSECURE_TLS = 2,
	SKF_IMG_ANONYMOUS = 4,
	SKF_IMG_NO_NAME = 8,   /* PULL: what is missing of an image, which gets no name by it */
	SKF_IMG_TOKEN = 32,    /* a bearer token follows the flags */
	SKF_IMG_CREDS = 64,    /* then: file of credentials, user, password; each may be "" */
	SKF_IMG_RETRY = 128,   /* then: retries, milliseconds between */
	SKF_IMG_READ_ONLY = 16 /* VERIFY: layers of an earlier boot that were never synced are left out
				  instead of synced */
};
enum {
	SKF_COMMIT_DOCKER = 1, /* a manifest of docker's family */
	SKF_COMMIT_SQUASH = 2  /* one layer in place of the image's and the new one */
};
enum skf_img_logout {
	SKF_LOGOUT_ONE,
	SKF_LOGOUT_ALL,       /* of all registries; server is not looked at */
	SKF_LOGIN_WHO,        /* nothing is removed: TEXT is the user's name. Podman's file is asked too */
	SKF_LOGIN_WHO_IN_FILE /* the same of this file alone */
};
/* Where an image is copied from or to; name: what the comment says. fd: a directory or file that the front
 * end opened. */
enum skf_img_place {
	SKF_PLACE_STORE,          /* an image of the store: reference or id */
	SKF_PLACE_REGISTRY,       /* reference */
	SKF_PLACE_OCI,            /* layout directory or archive (fd): reference name, "" the only image */
	SKF_PLACE_DOCKER_ARCHIVE, /* archive (fd): repository:tag, "" the only image */
	SKF_PLACE_DAEMON,         /* docker's daemon: reference or id, '\n', path of its socket */
	SKF_PLACE_DIR,            /* skopeo's dir: (fd) */
	SKF_PLACE_LIST /* source only: a document (fd) {"index": text of an index, "from": [{"digest",
			  "kind", "name"}]} */
};
enum skf_img_copy {
	SKF_COPY_ALL = 1 /* every platform */,
	SKF_COPY_PRESERVE = 2 /* fail rather than change a digest */,
	SKF_COPY_INDEX_ONLY = 4
};
enum skf_img_as { SKF_AS_IS, SKF_AS_OCI, SKF_AS_DOCKER };
enum skf_img_squeeze {
	SKF_SQUEEZE_AS_IS,
	SKF_SQUEEZE_GZIP,
	SKF_SQUEEZE_ZSTD,
	SKF_SQUEEZE_ZSTD_CHUNKED,
	SKF_SQUEEZE_NONE
};
#define SKF_IMG_VERSION 1
#define SKF_IMG_FD      3
