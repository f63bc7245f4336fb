/* cli/cmd_checkpoint.c -- container checkpoint and restore with podman's words, checkpoint create, ls and rm
 * with docker's. */
#include "cli/cli_int.h"
#include "engine/checkpoint.h"
#include "engine/life.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int skf_cli_checkpoint_dir(struct skf_cli *c, const char **ret)
{
	char here[4096];
	const char *d = c->o.checkpoint_dir;

	*ret = NULL;
	if (!d || !*d)
		return 0;
	if (d[0] != '/' && !getcwd(here, sizeof(here)))
		return skf_fail_sys(&c->e, -errno, "find out the current directory");
	*ret = d[0] == '/' ? d : skf_arena_fmt(&c->a, "%s/%s", here, d);
	return *ret ? 0 : skf_fail(&c->e, SKF_ENOMEM, "memory for the path '%s'", d);
}

/* --- podman's --- */

struct figures { /* of one container */
	const char *verb, *id;
	int64_t us;
	const struct skf_criu_stats *criu;
};

static void print_criu(struct skf_jw *w, const struct skf_criu_stats *s, bool restore)
{
	skf_jw_kobj(w, "criu_statistics");
	if (restore) {
		skf_jw_ku64(w, "forking_time", s->forking_time);
		skf_jw_ku64(w, "restore_time", s->restore_time);
		skf_jw_ku64(w, "pages_restored", s->pages_restored);
	} else {
		skf_jw_ku64(w, "freezing_time", s->freezing_time);
		skf_jw_ku64(w, "frozen_time", s->frozen_time);
		skf_jw_ku64(w, "memdump_time", s->memdump_time);
		skf_jw_ku64(w, "memwrite_time", s->memwrite_time);
		skf_jw_ku64(w, "pages_scanned", s->pages_scanned);
		skf_jw_ku64(w, "pages_written", s->pages_written);
	}
	skf_jw_end(w);
}

/* podman's document of --print-stats, microseconds; one for each container. */
static void print_stats(const struct figures *f)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(4096);
	struct skf_jw w = {.b = &b, .indent = 4};
	char key[64];

	snprintf(key, sizeof(key), "podman_%s_duration", f->verb);
	skf_jw_obj(&w);
	skf_jw_kint(&w, key, f->us);
	skf_jw_karr(&w, "container_statistics");
	skf_jw_obj(&w);
	skf_jw_kstr(&w, "Id", f->id);
	snprintf(key, sizeof(key), "runtime_%s_duration", f->verb);
	skf_jw_kint(&w, key, f->us);
	if (f->criu->known)
		print_criu(&w, f->criu, skf_streq(f->verb, "restore"));
	skf_jw_end(&w);
	skf_jw_end_arr(&w);
	skf_jw_end(&w);
	printf("%s\n", skf_buf_cstr(&b));
}

static int set_export(struct skf_cli *c, struct skf_checkpoint_req *q, struct skf_cli_output *o)
{
	static const char *const words[] = {"zstd", "gzip", "none"};
	unsigned k = 0;

	while (c->o.ck_compress && k < SKF_ARRAY_LEN(words) && !skf_streq(c->o.ck_compress, words[k]))
		k++;
	if (k == SKF_ARRAY_LEN(words))
		return skf_fail(&c->e, SKF_EINVALID,
				"selected compression algorithm (\"%s\") not supported. Please select one "
				"from: gzip, none, zstd",
				c->o.ck_compress);
	q->squeeze = (enum skf_checkpoint_squeeze)k;
	q->image = c->o.create_image;
	q->export = c->o.ck_export != NULL;
	q->ignore_rootfs = c->o.ignore_rootfs;
	q->ignore_volumes = c->o.ignore_volumes;
	if (q->export && skf_cli_output_open(c, c->o.ck_export, o) < 0)
		return -1;
	q->export_fd = o->fd;
	return 0;
}

static int checkpoint_one(struct skf_cli *c, const char *name)
{
	SKF_AUTO(skf_cli_output_done) struct skf_cli_output o = {.fd = -EBADF};
	struct skf_checkpoint_req q = SKF_REQ(struct skf_checkpoint_req);
	struct skf_checkpoint_ret r;
	char id[SKF_ID_LEN + 1];

	q.container = name;
	q.leave_running = c->o.leave_running;
	q.tcp_established = c->o.tcp_established;
	q.file_locks = c->o.file_locks;
	q.keep_logs = c->o.keep;
	q.pre = c->o.pre_checkpoint;
	q.with_previous = c->o.with_previous;
	q.replace = true;
	if (skf_engine_resolve(c->g, name, id, &c->e) < 0 || set_export(c, &q, &o) < 0 ||
	    skf_engine_checkpoint(c->g, &q, &r, &c->e) < 0 || skf_cli_output_close(c, &o) < 0)
		return -1;
	if (c->o.print_stats)
		print_stats(&(struct figures){"checkpoint", id, r.us, &r.stats});
	else
		printf("%s\n", name);
	return 0;
}

static int check_checkpoint(struct skf_cli *c)
{
	bool out = c->o.ck_export || c->o.create_image;

	if (c->o.pre_checkpoint && c->o.with_previous)
		return skf_fail(&c->e, SKF_EINVALID, "--with-previous cannot be set with --pre-checkpoint");
	if (c->o.ck_export && c->o.create_image)
		return skf_fail(
			&c->e, SKF_EINVALID,
			"--export and --create-image cannot be set together: make the image, and save it");
	if (!out && c->o.ignore_rootfs)
		return skf_fail(&c->e, SKF_EINVALID, "--ignore-rootfs can only be used with --export");
	if (!out && c->o.ignore_volumes)
		return skf_fail(&c->e, SKF_EINVALID, "--ignore-volumes can only be used with --export");
	if (out && (c->o.pre_checkpoint || c->o.with_previous))
		return skf_fail(&c->e, SKF_EUNSUPPORTED,
				"--pre-checkpoint and --with-previous are not exported: an archive has the "
				"whole memory");
	if (out && (c->o.all || c->args.n > 1))
		return skf_fail(&c->e, SKF_EINVALID,
				"--export and --create-image are of one container: name one");
	return 0;
}

int skf_cmd_checkpoint(struct skf_cli *c)
{
	static const char *const up[] = {"running", "paused", NULL};

	if (check_checkpoint(c) < 0)
		return skf_cli_fail(c, 125);
	return skf_cli_targets(c, up) < 0 ? skf_cli_usage(c) : skf_cli_for_each(c, checkpoint_one);
}

/* After a restore: says that it is done, and takes away what it was made of. */
static int restored(struct skf_cli *c, const char *id, const char *name, int64_t since)
{
	struct skf_criu_stats stats;

	skf_engine_restore_stats(c->g, id, SKF_CHECKPOINT_DEFAULT, &stats);
	if (c->o.print_stats)
		print_stats(&(struct figures){"restore", id, (skf_mono_ms() - since) * 1000, &stats});
	else
		printf("%s\n", name);
	return c->o.keep ? 0 : skf_engine_checkpoint_rm(c->g, id, NULL, SKF_CHECKPOINT_DEFAULT, &c->e);
}

/* An archive (image NULL), or an image: a new container. */
static int restore_new(struct skf_cli *c, const char *image)
{
	struct skf_restore_import_req q = SKF_REQ(struct skf_restore_import_req);
	struct skf_run_handle h = {.sock = -EBADF};
	SKF_AUTO_FD int fd = -EBADF;
	int64_t since = skf_mono_ms();

	if (!image)
		fd = skf_openat(AT_FDCWD, c->o.ck_import, O_RDONLY, 0);
	if (!image && fd < 0)
		return skf_fail_sys(&c->e, fd, "open '%s'", c->o.ck_import);
	q.fd = fd;
	q.image = image;
	q.name = c->o.name;
	q.publish = c->o.publish;
	q.ignore_rootfs = c->o.ignore_rootfs;
	q.ignore_volumes = c->o.ignore_volumes;
	q.ignore_ip = c->o.ignore_static_ip;
	q.ignore_mac = c->o.ignore_static_mac;
	q.tcp_established = c->o.tcp_established;
	q.file_locks = c->o.file_locks;
	q.docker_config = skf_cli_docker_config(c);
	if (skf_cli_engine(c) < 0 || skf_engine_restore_import(c->g, &q, NULL, &h, &c->e) < 0)
		return -1;
	return restored(c, h.id, h.id, since);
}

static int restore_one(struct skf_cli *c, const char *name)
{
	const struct skf_restore_opts o = {.tcp_established = c->o.tcp_established,
					   .file_locks = c->o.file_locks};
	struct skf_start_req q = SKF_REQ(struct skf_start_req);
	struct skf_run_handle h = {.sock = -EBADF};
	int64_t since = skf_mono_ms();
	char id[SKF_ID_LEN + 1];

	if (skf_engine_resolve(c->g, name, id, &c->e) < 0) {
		if (c->e.kind != SKF_ENOTFOUND || skf_engine_image_has(c->g, name, &c->e) != 1)
			return -1;
		skf_err_clear(&c->e);
		return restore_new(c, name);
	}
	if (c->o.name || c->o.publish.n)
		return skf_fail(&c->e, SKF_EINVALID,
				"--name and --publish can only be used with --import or image");
	q.container = name;
	q.stdio[0] = q.stdio[1] = q.stdio[2] = -EBADF;
	q.restore = &o;
	return skf_engine_start(c->g, &q, &h, &c->e) < 0 ? -1 : restored(c, h.id, name, since);
}

static int check_restore(struct skf_cli *c)
{
	if (c->o.ck_import && (c->args.n || c->o.all || c->o.latest))
		return skf_fail(&c->e, SKF_EINVALID, "cannot use --import with positional arguments");
	if (!c->o.ck_import && !c->args.n &&
	    (c->o.ignore_rootfs || c->o.ignore_volumes || c->o.ignore_static_ip || c->o.ignore_static_mac))
		return skf_fail(&c->e, SKF_EINVALID,
				"--ignore-rootfs, --ignore-volumes, --ignore-static-ip and "
				"--ignore-static-mac can only be used with --import or image");
	if (c->o.name && c->args.n > 1)
		return skf_fail(&c->e, SKF_EINVALID, "--name can only be used with one checkpoint image");
	if (c->o.name && c->o.tcp_established)
		return skf_fail(&c->e, SKF_EINVALID, "--tcp-established cannot be used with --name");
	return 0;
}

int skf_cmd_restore(struct skf_cli *c)
{
	static const char *const resting[] = {"exited", NULL};

	if (check_restore(c) < 0)
		return skf_cli_fail(c, 125);
	if (c->o.ck_import)
		return restore_new(c, NULL) < 0 ? skf_cli_fail(c, 125) : 0;
	return skf_cli_targets(c, resting) < 0 ? skf_cli_usage(c) : skf_cli_for_each(c, restore_one);
}

/* --- docker's --- */

int skf_cmd_checkpoint_create(struct skf_cli *c)
{
	struct skf_checkpoint_req q = SKF_REQ(struct skf_checkpoint_req);
	struct skf_checkpoint_ret r;

	q.container = c->args.v[0];
	q.name = c->args.v[1];
	q.leave_running = c->o.leave_running;
	if (skf_cli_checkpoint_dir(c, &q.dir) < 0 || skf_cli_engine(c) < 0 ||
	    skf_engine_checkpoint(c->g, &q, &r, &c->e) < 0)
		return skf_cli_fail(c, 1);
	printf("%s\n", q.name);
	return 0;
}

int skf_cmd_checkpoint_ls(struct skf_cli *c)
{
	SKF_AUTO(skf_table_done) struct skf_table t = SKF_TABLE(1);
	struct skf_strv names = {0};
	const char *dir;

	if (skf_cli_checkpoint_dir(c, &dir) < 0 || skf_cli_engine(c) < 0 ||
	    skf_engine_checkpoints(c->g, c->args.v[0], dir, &c->a, &names, &c->e) < 0)
		return skf_cli_fail(c, 1);
	skf_table_add(&t, "CHECKPOINT NAME");
	for (size_t i = 0; i < names.n; i++)
		skf_table_add(&t, names.v[i]);
	skf_table_print(&t);
	return 0;
}

int skf_cmd_checkpoint_rm(struct skf_cli *c)
{
	const char *dir;

	if (skf_cli_checkpoint_dir(c, &dir) < 0 || skf_cli_engine(c) < 0 ||
	    skf_engine_checkpoint_rm(c->g, c->args.v[0], dir, c->args.v[1], &c->e) < 0)
		return skf_cli_fail(c, 1);
	return 0;
}
