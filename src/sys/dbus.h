/* sys/dbus.h -- the part of D-Bus that is needed to ask systemd for a scope: a client for one connection and
 * one call at a time, and the I/O-free encoder and decoder beneath it. D-Bus specification 0.38;
 * org.freedesktop.systemd1(5).
 *
 * Ownership: struct skf_dbus is the caller's, closed with skf_dbus_close. Everything that the decoder
 * returns points into the bytes that it was given. Leaf functions return -errno; those with struct skf_err
 * *e set a sentence. */
#pragma once
#include "base/buf.h"
#include "base/fwd.h"

/* --- dbus_wire.c: pure --- */
enum skf_dbus_type { SKF_DBUS_CALL = 1, SKF_DBUS_RETURN, SKF_DBUS_ERROR, SKF_DBUS_SIGNAL };

struct skf_dbus_msg {
	uint8_t type, flags;
	uint32_t serial, reply_serial; /* reply_serial 0: not an answer */
	const char *path, *interface, *member, *error_name, *destination, *sender; /* NULL: absent */
	const char *signature;                                                     /* of the body; "" */
	const uint8_t *body;
	size_t body_len;
	bool swap; /* the sender has the other byte order */
};

/* Body values, appended with the padding that their type wants. A body begins at offset 0 of its buffer.
 * Errors stick in b->err. */
void skf_dbus_align(struct skf_buf *b, unsigned to);
void skf_dbus_byte(struct skf_buf *b, uint8_t v);
void skf_dbus_u16(struct skf_buf *b, uint16_t v);
void skf_dbus_u32(struct skf_buf *b, uint32_t v);    /* also i, b, h */
void skf_dbus_u64(struct skf_buf *b, uint64_t v);    /* also x, d */
void skf_dbus_str(struct skf_buf *b, const char *s); /* also o */
void skf_dbus_sig(struct skf_buf *b, const char *s);
/* Array of elements with that alignment: begin returns what end needs. */
size_t skf_dbus_array(struct skf_buf *b, unsigned align);
void skf_dbus_array_end(struct skf_buf *b, size_t at, unsigned align);
/* Alignment of a type by the first letter of its signature; 0: no such type. */
unsigned skf_dbus_align_of(char type);
/* Member (sv) of an array of properties; the value of that signature follows. */
void skf_dbus_prop(struct skf_buf *b, const char *name, const char *sig);
void skf_dbus_prop_str(struct skf_buf *b, const char *name, const char *v);
void skf_dbus_prop_bool(struct skf_buf *b, const char *name, bool v);
void skf_dbus_prop_u64(struct skf_buf *b, const char *name, uint64_t v);

/* The whole message. 0, -ENOMEM, -E2BIG, -EINVAL for a message that lacks what its type needs. */
int skf_dbus_encode(const struct skf_dbus_msg *m, struct skf_buf *out);
/* Length of the message that begins at p: 0 when n bytes are too few to tell (16 are enough), -EBADMSG when
 * it is none. */
int64_t skf_dbus_length(const void *p, size_t n);
/* The complete message of n bytes at p (any alignment). 0 or -EBADMSG. */
int skf_dbus_decode(const void *p, size_t n, struct skf_dbus_msg *ret);

/* Reads values of a body in order; err sticks (-EBADMSG), values are then 0 and "". */
struct skf_dbus_reader {
	const uint8_t *p;
	size_t n, at;
	bool swap;
	int err;
};
struct skf_dbus_reader skf_dbus_read(const struct skf_dbus_msg *m);
uint32_t skf_dbus_get_u32(struct skf_dbus_reader *r);
const char *skf_dbus_get_str(struct skf_dbus_reader *r); /* s and o */
const char *skf_dbus_get_sig(struct skf_dbus_reader *r);

/* Socket of an address of the environment ("unix:path=/run/user/1/bus,guid=..;unix:abstract=.."): the first
 * unix one, un-escaped, an abstract name with a leading '@'. 0, -ENAMETOOLONG, -EAFNOSUPPORT when there is
 * none. */
int skf_dbus_address(const char *list, char *out, size_t size);

/* --- dbus.c --- */
struct skf_dbus {
	int fd;
	bool peer; /* directly to systemd: no bus in between, so no Hello and no match rules */
	uint32_t serial;
	struct skf_buf in;
	size_t used;    /* bytes of in that belong to messages already looked at */
	char unit[256]; /* whose JobRemoved is kept, and the last one that came */
	char job[128], result[32];
	char error_name[128], error_text[256]; /* of the last call that was answered with an error */
};
/* Connects to the system's manager, or with `user` to the caller's. Order: DBUS_SYSTEM_BUS_ADDRESS /
 * DBUS_SESSION_BUS_ADDRESS when set; systemd's own socket; the bus. UNAVAILABLE with all that was tried.
 * Blocks at most SKF_DBUS_CALL_MS. */
int skf_dbus_open(struct skf_dbus *c, bool user, struct skf_err *e);
void skf_dbus_close(
	struct skf_dbus *c); /* safe on a zeroed struct whose fd is -EBADF or 0 after a failed open */

/* Methods of org.freedesktop.systemd1.Manager. `props`: members of a(sv), made by skf_dbus_prop*. An answer
 * that is an error leaves its name and text in c. UNAVAILABLE, CONFLICT (the unit exists), NOTFOUND (no such
 * unit), TIMEOUT. The first and the third also wait for the job: SKF_DBUS_JOB_MS. */
int skf_sd_start_transient(struct skf_dbus *c, const char *unit, const struct skf_buf *props,
			   struct skf_err *e);
int skf_sd_set_properties(struct skf_dbus *c, const char *unit, const struct skf_buf *props,
			  struct skf_err *e);
int skf_sd_stop(struct skf_dbus *c, const char *unit, struct skf_err *e);
int skf_sd_kill(struct skf_dbus *c, const char *unit, int sig, struct skf_err *e);
int skf_sd_reset_failed(struct skf_dbus *c, const char *unit, struct skf_err *e);
/* Moves a process into the unit's cgroup, or into `sub` ("/x") below it: for callers that may not do it
 * themselves. */
int skf_sd_attach(struct skf_dbus *c, const char *unit, const char *sub, pid_t pid, struct skf_err *e);
/* The cgroup that the manager itself has: "" for the root. */
int skf_sd_control_group(struct skf_dbus *c, char *out, size_t size, struct skf_err *e);
