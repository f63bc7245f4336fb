/* monitor/handover.c -- what launch tells the monitor that it becomes: one record, read once; and what it
 * tells one that lives of a restart. No I/O. Programs of one build begin a container, so that every field of
 * the first record must be there; a restart may be done by a newer launch, whose further fields are ignored.
 */
#include "monitor/wire.h"
#include "base/buf.h"
#include "base/record.h"
#include <string.h>

#define TYPE 1

/* The fds in the order of the record. */
static int32_t *fd_field(struct skf_mon_handover *h, unsigned i)
{
	int32_t *f[] = {&h->pidfd,       &h->netns,   &h->engine_sock, &h->run_dir,   &h->disk_dir,
			&h->run_root_fd, &h->tty,     &h->in,          &h->out,       &h->err,
			&h->att_in,      &h->att_out, &h->att_err,     &h->listen_fd, &h->log_fd};

	return i < SKF_ARRAY_LEN(f) ? f[i] : NULL;
}

static void write_cgroup(struct skf_rec *r, const struct skf_cg_dirs *d)
{
	skf_rec_str(r, d->path);
	skf_rec_u32(r, d->used);
	skf_rec_u32(r, (uint32_t)d->layout.mode);
	skf_rec_u32(r, d->layout.n);
	for (unsigned i = 0; i < d->layout.n && i < SKF_CG_MAX; i++) {
		skf_rec_str(r, d->layout.h[i].controllers);
		skf_rec_str(r, d->layout.h[i].mountpoint);
		skf_rec_u32(r, d->layout.h[i].v2);
	}
}

void skf_mon_handover_write(const struct skf_mon_handover *h, struct skf_buf *b)
{
	struct skf_mon_handover copy = *h;
	struct skf_rec r;
	int32_t *fd;

	skf_rec_begin(&r, b, TYPE, SKF_MON_VERSION);
	skf_rec_u32(&r, h->flags);
	skf_rec_str(&r, h->id);
	skf_rec_str(&r, h->exec_id);
	skf_rec_str(&r, h->reaper);
	skf_rec_str(&r, h->root);
	skf_rec_str(&r, h->run_root);
	skf_rec_u32(&r, h->pid);
	skf_rec_u64(&r, h->start_time);
	skf_rec_u64(&r, h->started_ns);
	for (unsigned i = 0; (fd = fd_field(&copy, i)); i++)
		skf_rec_u32(&r, (uint32_t)*fd);
	skf_rec_u32(&r, h->log_driver);
	skf_rec_u64(&r, h->log_max_size);
	skf_rec_u32(&r, h->log_max_file);
	write_cgroup(&r, &h->cg);
	skf_rec_u32(&r, h->restart);
	skf_rec_u32(&r, h->restart_max);
	skf_rec_u32(&r, h->stop_signal);
	skf_rec_u32(&r, h->stop_timeout_s);
	skf_rec_u32(&r, h->health);
	skf_rec_u32(&r, h->health_retries);
	skf_rec_u32(&r, h->health_action);
	skf_rec_u64(&r, h->health_interval_ms);
	skf_rec_u64(&r, h->health_timeout_ms);
	skf_rec_u64(&r, h->health_start_ms);
	skf_rec_u64(&r, h->health_start_interval_ms);
	skf_rec_u32(&r, h->log_nonblocking);
	skf_rec_u64(&r, h->log_buffer);
	skf_rec_str(&r, h->log_opts);
	skf_rec_u64(&r, h->run_ms);
	skf_rec_u32(&r, h->log_squeeze);
	skf_rec_end(&r);
}

static void read_str(struct skf_recr *r, char *out, size_t size)
{
	const char *s = skf_recr_str(r);
	size_t n = strlen(s);

	if (n >= size) {
		r->bad = true;
		return;
	}
	memcpy(out, s, n + 1);
}

static void read_cgroup(struct skf_recr *r, struct skf_cg_dirs *d)
{
	read_str(r, d->path, sizeof(d->path));
	d->used = skf_recr_u32(r);
	d->layout.mode = (enum skf_cg_mode)skf_recr_u32(r);
	d->layout.n = skf_recr_u32(r);
	if (d->layout.n > SKF_CG_MAX || d->used >> d->layout.n) {
		r->bad = true;
		return;
	}
	for (unsigned i = 0; i < d->layout.n; i++) {
		read_str(r, d->layout.h[i].controllers, sizeof(d->layout.h[i].controllers));
		read_str(r, d->layout.h[i].mountpoint, sizeof(d->layout.h[i].mountpoint));
		d->layout.h[i].v2 = skf_recr_u32(r) != 0;
	}
}

int skf_mon_handover_read(const void *p, size_t n, struct skf_mon_handover *ret)
{
	struct skf_recr r;
	int32_t *fd;

	if (skf_recr_init(&r, p, n) < 0 || r.type != TYPE || r.version != SKF_MON_VERSION)
		return -EBADMSG;
	memset(ret, 0, sizeof(*ret));
	ret->flags = skf_recr_u32(&r);
	read_str(&r, ret->id, sizeof(ret->id));
	read_str(&r, ret->exec_id, sizeof(ret->exec_id));
	read_str(&r, ret->reaper, sizeof(ret->reaper));
	read_str(&r, ret->root, sizeof(ret->root));
	read_str(&r, ret->run_root, sizeof(ret->run_root));
	ret->pid = skf_recr_u32(&r);
	ret->start_time = skf_recr_u64(&r);
	ret->started_ns = skf_recr_u64(&r);
	for (unsigned i = 0; (fd = fd_field(ret, i)); i++)
		*fd = (int32_t)skf_recr_u32(&r);
	ret->log_driver = skf_recr_u32(&r);
	ret->log_max_size = skf_recr_u64(&r);
	ret->log_max_file = skf_recr_u32(&r);
	read_cgroup(&r, &ret->cg);
	ret->restart = skf_recr_u32(&r);
	ret->restart_max = skf_recr_u32(&r);
	ret->stop_signal = skf_recr_u32(&r);
	ret->stop_timeout_s = skf_recr_u32(&r);
	ret->health = skf_recr_u32(&r);
	ret->health_retries = skf_recr_u32(&r);
	ret->health_action = skf_recr_u32(&r);
	ret->health_interval_ms = skf_recr_u64(&r);
	ret->health_timeout_ms = skf_recr_u64(&r);
	ret->health_start_ms = skf_recr_u64(&r);
	ret->health_start_interval_ms = skf_recr_u64(&r);
	ret->log_nonblocking = skf_recr_u32(&r);
	ret->log_buffer = skf_recr_u64(&r);
	read_str(&r, ret->log_opts, sizeof(ret->log_opts));
	ret->run_ms = skf_recr_u64(&r);
	ret->log_squeeze = skf_recr_u32(&r);
	return r.bad || r.p != r.end ? -EBADMSG : 0;
}

static int32_t *restart_fd(struct skf_mon_handover *h, unsigned i)
{
	int32_t *f[SKF_MON_RESTARTED_FDS] = {&h->pidfd, &h->tty, &h->in, &h->out, &h->err};

	return i < SKF_ARRAY_LEN(f) ? f[i] : NULL;
}

void skf_mon_restarted_write(const struct skf_mon_handover *h, uint16_t type, struct skf_buf *b)
{
	struct skf_mon_handover copy = *h;
	struct skf_rec r;
	int32_t *fd;

	skf_rec_begin(&r, b, type, SKF_MON_VERSION);
	skf_rec_u32(&r, h->pid);
	skf_rec_u64(&r, h->start_time);
	skf_rec_u64(&r, h->started_ns);
	for (unsigned i = 0; (fd = restart_fd(&copy, i)); i++)
		skf_rec_u32(&r, (uint32_t)*fd);
	write_cgroup(&r, &h->cg);
	skf_rec_end(&r);
}

int skf_mon_restarted_read(struct skf_recr *r, struct skf_mon_handover *ret)
{
	int32_t *fd;

	memset(ret, 0, sizeof(*ret));
	ret->pid = skf_recr_u32(r);
	ret->start_time = skf_recr_u64(r);
	ret->started_ns = skf_recr_u64(r);
	for (unsigned i = 0; (fd = restart_fd(ret, i)); i++)
		*fd = (int32_t)skf_recr_u32(r);
	read_cgroup(r, &ret->cg);
	return r->bad || ret->pid == 0 ? -EBADMSG : 0;
}
