/* base/limits.h -- the single list of named limits. Each input that skiff does not control has one here,
 * with its reason; each has a unit test that goes one over. Sizes in bytes, times in milliseconds. */
#pragma once
/* clang-format off: a table, a limit a line */

/* --- documents --- */
#define SKF_MAX_JSON_DEPTH          64         /* config.json needs 7, image configs 6 */
#define SKF_MAX_SPEC_BYTES          (4u << 20) /* config.json; Kubernetes writes < 100 KB */
#define SKF_MAX_STATE_BYTES         (5u << 20) /* state.json holds annotations of the spec */
#define SKF_MAX_MANIFEST_BYTES      (4u << 20) /* distribution-spec: registries should accept 4 MiB */
#define SKF_MAX_CONFIG_BLOB_BYTES   (8u << 20) /* image config; history makes it larger than the manifest */
#define SKF_MAX_DOCKER_CONFIG_BYTES (1u << 20) /* ~/.docker/config.json */
#define SKF_MAX_OBJECT_BYTES        (1u << 20) /* one of our own small JSON files */
#define SKF_MAX_CONF_BYTES          (256u << 10) /* skiff.conf */
#define SKF_MAX_ARENA_DOC           (64u << 20)  /* memory of one decoded document */
#define SKF_MAX_SECCOMP_BYTES       (2u << 20)   /* one seccomp profile */
#define SKF_MAX_SECCOMP_INSNS       32768        /* kernel: 4096 a program (BPF_MAXINSNS), 32768 in all */

/* --- images --- */
#define SKF_MAX_LAYERS          500 /* the kernel's overlay limit */
#define SKF_MAX_INDEX_MANIFESTS 1000
#define SKF_MAX_ARCHIVE_ENTRIES 100000       /* names in an archive of images */
#define SKF_MAX_TAR_PATH        4096         /* PATH_MAX */
#define SKF_MAX_TAR_DEPTH       255          /* components of one path */
#define SKF_MAX_XATTR_BYTES     65536        /* kernel: XATTR_SIZE_MAX */
#define SKF_MAX_XATTRS          256          /* per entry */
#define SKF_MAX_LAYER_ENTRIES   5000000      /* inodes of one layer */
#define SKF_MAX_LAYER_BYTES     (1ull << 40) /* unpacked bytes of one layer */
#define SKF_MAX_LAYER_RATIO     2000         /* unpacked : compressed, after the first 256 MiB */
#define SKF_MAX_ZSTD_WINDOW     (32u << 20)  /* unpacking one layer: zstd -19 needs 8 MB, Go's best 32 */
#define SKF_DOWNLOAD_KEEP_S     86400        /* a killed pull's download is garbage after a day */
#define SKF_MAX_REF_BYTES       512          /* registry/repository:tag@digest */
#define SKF_MAX_TAG_BYTES       128          /* distribution-spec */
#define SKF_MAX_REPO_BYTES      255

/* --- registry --- */
#define SKF_MAX_HTTP_HEADER     65536
#define SKF_MAX_TOKEN_BYTES     (256u << 10) /* a token answer */
#define SKF_MAX_CHALLENGE_BYTES 8192         /* one WWW-Authenticate header */
#define SKF_MAX_REDIRECTS       5
#define SKF_MAX_REMOTE_TAGS     1000000 /* tags of one repository */
#define SKF_MAX_YAML_DEPTH      16      /* a list of images needs 4 */
#define SKF_MAX_YAML_NODES      100000  /* names and tags of a list of images */
#define SKF_HTTP_CONNECT_MS     15000
#define SKF_HTTP_STALL_MS       30000 /* no byte for so long ends a transfer */
#define SKF_HTTP_RETRIES        4
#define SKF_MAX_RETRY_AFTER_MS  60000

/* --- containers --- */
#define SKF_ID_LEN            64   /* hex digits */
#define SKF_MAX_OCI_ID_BYTES  1024 /* skiff-oci accepts ids of other engines */
#define SKF_MAX_NAME_BYTES    128
#define SKF_MAX_ENV           65536 /* variables */
#define SKF_MAX_ARGS          65536
#define SKF_MAX_MOUNTINFO     (16 << 20) /* bytes of /proc/<pid>/mountinfo */
#define SKF_MAX_MOUNTS        4096
#define SKF_MAX_RLIMITS       16
#define SKF_MAX_SECRET_BYTES  512000 /* of one secret: podman's limit, docker's is 500 KB */
#define SKF_MAX_IDMAPS        340    /* kernel: UID_GID_MAP_MAX_EXTENTS */
#define SKF_MAX_RUNTIME_FLAGS 16     /* --runtime-flag */
#define SKF_MAX_DEVICES       4096
#define SKF_MAX_GIDS          65536 /* kernel: NGROUPS_MAX */
#define SKF_MAX_PRESERVE_FDS  16384
#define SKF_MAX_PASSWD_BYTES  (16u << 20) /* T14: /etc/passwd and /etc/group of an image */
#define SKF_MAX_PASSWD_LINE   65536
#define SKF_MAX_SYMLINK_DEPTH 40   /* the kernel's */
#define SKF_MAX_SUMMARY_BYTES 4000 /* DESIGN 7.7 */
#define SKF_MAX_EVENT_BYTES   4095 /* one O_APPEND write */

/* --- names and the resolver --- */
#define SKF_MAX_NAMES_ENTRY      65536 /* 2000 containers may share an alias, 700 with IPv6 */
#define SKF_MAX_DNS_ADDRS        4096  /* of one name: all that an entry can hold */
#define SKF_MAX_DNS_MESSAGE      65535 /* RFC 1035 4.2.2 */
#define SKF_MAX_DNS_NETWORKS     64    /* networks of one container */
#define SKF_MAX_CTR_NETWORKS     SKF_MAX_DNS_NETWORKS
#define SKF_MAX_DNS_SERVERS      8     /* upstream servers of one container; glibc asks 3 */
#define SKF_MAX_DNS_STATE        16384 /* a container's file below run/resolver */
#define SKF_MAX_DNS_PENDING      1024  /* forwarded queries of all containers that wait, as docker */
#define SKF_MAX_DNS_PENDING_EACH 128   /* ... and of one container: none starves the others */
#define SKF_MAX_DNS_TCP_EACH     16    /* TCP clients of one container */
#define SKF_MAX_EGRESS_RULES     256   /* --egress-allow of one container */
#define SKF_MAX_RESOLV_CONF      65536 /* the host's resolv.conf */
#define SKF_DNS_TRY_MS           2000  /* then the next server is asked; glibc gives up at 5 s */
#define SKF_DNS_TCP_IDLE_MS      10000 /* a silent TCP client: RFC 7766 6.2.3, some seconds */
#define SKF_RESOLVER_MS          5000  /* the resolver answers a join */
#define SKF_RESOLVER_LINGER_MS   1000  /* it ends so long after its last container */

/* --- CNI --- */
#define SKF_MAX_CNI_CONF    (256u << 10) /* a configuration list; real ones have some KB */
#define SKF_MAX_CNI_PLUGINS 32           /* of one list */
#define SKF_MAX_CNI_RESULT  (1u << 20)   /* what a plugin says */
#define SKF_MAX_CNI_CACHE   (4u << 20)   /* configuration and result of one ADD */
#define SKF_MAX_CNI_IPS     1024         /* addresses and interfaces of one result */
#define SKF_CNI_PLUGIN_MS   60000        /* one plugin: DHCP takes seconds, kubelet gives minutes */

/* --- wire --- */
#define SKF_MAX_RECORD          (128u << 10) /* one SOCK_SEQPACKET record; default wmem is 208 KB */
#define SKF_MAX_RECORD_FDS      32           /* fds in one record; the kernel's limit is 253 */
#define SKF_MAX_MONITOR_CLIENTS 64
#define SKF_MAX_DBUS_BYTES      (1u << 20)   /* one D-Bus message that is kept; a unit's is some KB */
#define SKF_MAX_DBUS_WIRE       (128u << 20) /* D-Bus specification: no message is longer */
#define SKF_MAX_UNIT_NAME       255          /* systemd: UNIT_NAME_MAX */

/* --- criu --- */
#define SKF_MAX_CRIU_REQUEST (128u << 10) /* one record on its socket: some 1000 mounts */
#define SKF_MAX_CRIU_REPLY   (32u << 10)  /* a path and an error text; runc allows 40 KB */
#define SKF_MAX_CRIU_LOG     (256u << 10) /* end of its log that is searched for errors */
#define SKF_MAX_CRIU_FDS     32           /* descriptors given to it: namespaces, directories, pipes */

/* --- templates of --format --- */
#define SKF_MAX_TEMPLATE_BYTES (64u << 10) /* a command line's word; the kernel's limit is 128 KB */
#define SKF_MAX_TEMPLATE_NODES 8192        /* pieces of the tree */
#define SKF_MAX_TEMPLATE_DEPTH 64          /* nesting of blocks and parentheses, links of one chain */
#define SKF_MAX_TEMPLATE_STEPS 1000000     /* pieces looked at for one document: loops in loops end */
#define SKF_MAX_TEMPLATE_OUT   (32u << 20) /* bytes made for one document, intermediate ones too */

#define SKF_MAX_LISTING_BYTES (256u << 20) /* a whole list that is kept until its columns are known */

/* --- filters --- */
#define SKF_MAX_FILTERS      32   /* different names of --filter; docker knows 15 */
#define SKF_MAX_FILTER_BYTES 1024 /* a value longer than this is no regular expression */

/* --- logs --- */
#define SKF_LOG_LINE 16384 /* docker cuts a log entry at 16 KiB and marks it partial */

/* --- waits: no wait on the kernel, a hook or a peer is endless --- */
#define SKF_HELLO_MS        2000   /* a monitor answers */
#define SKF_START_MS        60000  /* a container start without hooks */
#define SKF_STOP_DEFAULT_S  10     /* docker's default of `stop -t` */
#define SKF_KILL_WAIT_MS    10000  /* after SIGKILL until the tasks are gone */
#define SKF_CGROUP_RM_MS    5000   /* rmdir answers EBUSY until the last task is reaped */
#define SKF_HOOK_DEFAULT_MS 300000 /* a hook that names no timeout */
#define SKF_DBUS_CALL_MS    25000  /* systemd answers a method call; dbus-daemon's own limit */
#define SKF_DBUS_JOB_MS     30000  /* ... and starts or stops a scope */
#define SKF_LOCK_MS         30000  /* container lock */
#define SKF_DRAIN_MS        2000   /* stdio after init's exit, when others hold the pipe */
#define SKF_CRIU_CHECK_MS   30000  /* criu says its version; it probes the kernel first */
#define SKF_CRIU_MS         600000 /* a whole checkpoint or restore: memory to the disk */
#define SKF_CRIU_EXIT_MS    10000  /* criu ends after its last answer */
