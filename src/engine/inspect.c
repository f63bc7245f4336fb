/* engine/inspect.c -- docker's document of a container, the members that tools read: from config.json, its
 * request, the summary, exit.json and the sessions that run. */
#include "engine/inspect_int.h"
#include "engine/net_int.h"
#include "base/proc.h"
#include "engine/health_int.h"
#include "oci/spec.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define NEVER "0001-01-01T00:00:00Z" /* what docker writes for a time that has not come */

struct doc {
	struct skf_engine *g;
	const char *id;
	bool size; /* SizeRw and SizeRootFs, too */
	struct skf_ctrconf *c;
	struct skf_ctr_request *q;
	struct skf_spec *spec;
	struct skf_ctr_live l;
	struct skf_jw *w;
	struct skf_arena *a;
};

static void write_time(struct skf_jw *w, const char *key, int64_t ns)
{
	char t[36];

	if (ns > 0)
		skf_time_rfc3339(ns, t);
	skf_jw_kstr(w, key, ns > 0 ? t : NEVER);
}

static void write_state(struct doc *d)
{
	struct skf_jw *w = d->w;
	bool running = skf_ctr_is_up(d->l.state), restarting = d->l.state == SKF_CTR_RESTARTING;

	skf_jw_kobj(w, "State");
	skf_jw_kstr(w, "Status",
		    d->l.state == SKF_CTR_STOPPING_FAILED ? "dead" : skf_ctr_state_name(d->l.state));
	skf_jw_kbool(w, "Running", running && d->l.state != SKF_CTR_INITIALIZED);
	skf_jw_kbool(w, "Paused", d->l.state == SKF_CTR_PAUSED);
	skf_jw_kbool(w, "Restarting", restarting);
	skf_jw_kbool(w, "OOMKilled", d->l.oom);
	skf_jw_kbool(w, "Dead", d->l.state == SKF_CTR_STOPPING_FAILED);
	skf_jw_ku64(w, "Pid", running ? d->l.sum.pid : 0);
	skf_jw_kint(w, "ExitCode", d->l.exit_code);
	skf_jw_kstr(w, "Error", d->l.lost ? "monitor-lost" : d->l.error);
	write_time(w, "StartedAt", d->l.started_ns);
	write_time(w, "FinishedAt", running && !restarting ? 0 : d->l.finished_ns);
	if (d->c->health)
		skf_health_write(d->g, d->id, d->l.sum.health, d->a, w);
	skf_jw_end(w);
}

static void write_path_args(struct doc *d)
{
	skf_jw_kstr(d->w, "Path", d->c->command.n ? d->c->command.v[0] : "");
	skf_jw_karr(d->w, "Args");
	for (size_t i = 1; i < d->c->command.n; i++)
		skf_jw_str(d->w, d->c->command.v[i]);
	skf_jw_end_arr(d->w);
}

static void write_dir_path(struct doc *d, const char *key, const char *name)
{
	char path[4096 + 2 * SKF_ID_LEN];

	if (skf_fmt(path, sizeof(path), "%s/containers/%s/%s", d->g->root, d->id, name) == 0)
		skf_jw_kstr(d->w, key, path);
}

/* docker's map of KEY: VALUE, null without any */
static void write_storage_opt(struct skf_jw *w, const struct skf_strv *v)
{
	char key[64];

	if (!v->n) {
		skf_jw_knull(w, "StorageOpt");
		return;
	}
	skf_jw_kobj(w, "StorageOpt");
	for (size_t i = 0; i < v->n; i++)
		if (skf_fmt(key, sizeof(key), "%.*s", (int)strcspn(v->v[i], "="), v->v[i]) == 0)
			skf_jw_kstr(w, key, v->v[i] + strlen(key) + 1);
	skf_jw_end(w);
}

static void write_maps(struct skf_jw *w, const char *key, const struct skf_jarr *maps)
{
	const struct skf_idmap *m = maps->v;
	char text[40];

	skf_jw_karr(w, key);
	for (size_t i = 0; i < maps->n; i++) {
		snprintf(text, sizeof(text), "%u:%u:%u", m[i].container_id, m[i].host_id, m[i].size);
		skf_jw_str(w, text);
	}
	skf_jw_end_arr(w);
}

/* podman's IDMappings; null without a user namespace. */
static int write_id_maps(struct doc *d, struct skf_err *e)
{
	SKF_AUTO_FD int dir = -EBADF;
	struct skf_idmaps m;
	int r;

	if (skf_ctr_open_dir(d->g, d->id, &dir, e) < 0)
		return -1;
	r = skf_idmaps_read_at(dir, d->a, &m);
	if (r < 0)
		return skf_fail_sys(e, r, "read '%s/containers/%s/" SKF_IDS_FILE "'", d->g->root, d->id);
	if (r == 0) {
		skf_jw_knull(d->w, "IDMappings");
		return 0;
	}
	skf_jw_kobj(d->w, "IDMappings");
	write_maps(d->w, "UidMap", &m.uids);
	write_maps(d->w, "GidMap", &m.gids);
	skf_jw_end(d->w);
	return 0;
}

static int write_host_config(struct doc *d, struct skf_err *e)
{
	struct skf_jw *w = d->w;

	skf_jw_kobj(w, "HostConfig");
	skf_jw_kobj(w, "LogConfig");
	skf_jw_kstr(w, "Type", d->c->log_driver);
	skf_jw_kobj(w, "Config");
	for (size_t i = 0; i < d->c->log_opts.n; i++)
		skf_jw_kstr(w, d->c->log_opts.v[i].k, d->c->log_opts.v[i].v);
	skf_jw_end(w);
	skf_jw_end(w);
	skf_jw_kstr(w, "NetworkMode", d->c->network);
	if (skf_net_inspect_host(d->g, d->id, w, e) < 0)
		return -1;
	skf_jw_kobj(w, "RestartPolicy");
	skf_jw_kstr(w, "Name", d->c->restart);
	skf_jw_kint(w, "MaximumRetryCount", d->c->restart_max);
	skf_jw_end(w);
	skf_jw_kbool(w, "AutoRemove", d->c->remove);
	skf_jw_kbool(w, "ReadonlyRootfs", d->c->readonly);
	write_storage_opt(w, &d->q->storage_opt);
	skf_inspect_settings(w, &d->q->s, &d->g->conf);
	if (write_id_maps(d, e) < 0)
		return -1;
	skf_jw_kstrv(w, "MaskedPaths", &d->spec->linux_.masked_paths);
	skf_jw_kstrv(w, "ReadonlyPaths", &d->spec->linux_.readonly_paths);
	skf_jw_kstr(w, "Runtime", d->c->runtime_name ? d->c->runtime_name : "skiff");
	skf_jw_kbool(w, "Init", d->q->init);
	skf_jw_end(w);
	return 0;
}

static void write_healthcheck(struct skf_jw *w, const struct skf_ctrconf_health *h)
{
	skf_jw_kobj(w, "Healthcheck");
	skf_jw_kstrv(w, "Test", &h->test);
	skf_jw_ku64(w, "Interval", h->interval * 1000000);
	skf_jw_ku64(w, "Timeout", h->timeout * 1000000);
	skf_jw_ku64(w, "StartPeriod", h->start_period * 1000000);
	skf_jw_ku64(w, "StartInterval", h->start_interval * 1000000);
	skf_jw_kint(w, "Retries", h->retries);
	skf_jw_end(w);
	skf_jw_kstr(w, "HealthcheckOnFailureAction", h->on_failure);
}

/* podman's member: which secrets, not what is in them. */
static void write_secrets(struct skf_jw *w, const struct skf_jarr *all)
{
	const struct skf_ctrconf_secret *s = all->v;

	skf_jw_karr(w, "Secrets");
	for (size_t i = 0; i < all->n; i++) {
		skf_jw_obj(w);
		skf_jw_kstr(w, "Name", s[i].name);
		skf_jw_kstr(w, "ID", s[i].id);
		skf_jw_ku64(w, "UID", s[i].uid);
		skf_jw_ku64(w, "GID", s[i].gid);
		skf_jw_ku64(w, "Mode", s[i].mode);
		skf_jw_end(w);
	}
	skf_jw_end_arr(w);
}

static void write_config(struct doc *d)
{
	struct skf_jw *w = d->w;

	skf_jw_kobj(w, "Config");
	skf_jw_kstr(w, "Hostname", d->q->hostname);
	skf_jw_kstr(w, "Domainname", d->q->s.domainname);
	skf_jw_kstr(w, "User", d->q->user);
	skf_jw_kbool(w, "AttachStdin", d->c->attach_stdin);
	skf_jw_kbool(w, "AttachStdout", d->q->attach_stdout);
	skf_jw_kbool(w, "AttachStderr", d->q->attach_stderr);
	skf_jw_kbool(w, "Tty", d->c->tty);
	skf_jw_kbool(w, "OpenStdin", d->c->open_stdin);
	skf_jw_kbool(w, "StdinOnce", d->c->stdin_once);
	skf_jw_kstrv(w, "Env", &d->q->env);
	skf_jw_kstrv(w, "Cmd", &d->q->cmd);
	skf_jw_kstr(w, "Image", d->q->image);
	skf_jw_kstr(w, "WorkingDir", d->q->workdir);
	skf_jw_kstrv(w, "Entrypoint", &d->q->entrypoint);
	skf_jw_kkvs(w, "Labels", &d->q->labels);
	skf_jw_kstr(w, "StopSignal", skf_signal_name(d->c->stop_signal));
	skf_jw_kint(w, "StopTimeout", d->c->stop_timeout);
	if (d->c->secrets.n)
		write_secrets(w, &d->c->secrets);
	if (d->c->health)
		write_healthcheck(w, d->c->health);
	skf_jw_end(w);
}

static void write_driver(struct doc *d)
{
	SKF_AUTO(skf_buf_done) struct skf_buf lower = SKF_BUF(1u << 20);
	struct skf_digest id;
	struct skf_err ignored = SKF_ERR_INIT;

	for (size_t i = d->c->layers.n; i-- > 0;)
		if (skf_digest_parse(d->c->layers.v[i], &id, &ignored) == 0)
			skf_buf_fmt(&lower, "%s%s/layers/%s/%s", lower.len ? ":" : "", d->g->root,
				    skf_digest_hex(&id), d->c->storage->form);
	if (d->c->rootfs)
		skf_buf_str(&lower, d->c->rootfs);
	skf_jw_kobj(d->w, "GraphDriver");
	skf_jw_kstr(d->w, "Name", d->c->storage->driver);
	if (!d->c->storage->lower) { /* as docker's: nothing to tell */
		skf_jw_knull(d->w, "Data");
		skf_jw_end(d->w);
		return;
	}
	skf_jw_kobj(d->w, "Data");
	skf_jw_kstr(d->w, "LowerDir", skf_buf_cstr(&lower));
	write_dir_path(d, "UpperDir", "rw");
	write_dir_path(d, "WorkDir", "work");
	skf_jw_end(d->w);
	skf_jw_end(d->w);
}

static int write_sizes(struct doc *d, struct skf_err *e)
{
	struct skf_ctr_size z;

	if (skf_ctr_sizes(d->g, d->id, d->c, d->a, &z, e) < 0)
		return -1;
	skf_jw_ku64(d->w, "SizeRw", z.rw);
	skf_jw_ku64(d->w, "SizeRootFs", z.root);
	return 0;
}

/* Sessions of exec that run detached: each has a directory, one in the foreground is its client's alone and
 * has no id. docker writes null for none. */
static void write_execs(struct doc *d)
{
	char path[SKF_ID_LEN + 8];
	int r = skf_fmt(path, sizeof(path), "%s/exec", d->id);
	int fd = r < 0 ? r : skf_openat(d->g->run_ctr_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	SKF_AUTO_DIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;
	bool any = false;

	while (dir && (de = readdir(dir))) {
		if (!skf_is_hex(de->d_name, SKF_ID_LEN))
			continue;
		if (!any)
			skf_jw_karr(d->w, "ExecIDs");
		any = true;
		skf_jw_str(d->w, de->d_name);
	}
	if (any)
		skf_jw_end_arr(d->w);
	else
		skf_jw_knull(d->w, "ExecIDs");
}

static int write_all(struct doc *d, struct skf_err *e)
{
	char log[SKF_ID_LEN + 32], name[SKF_MAX_NAME_BYTES + 2];

	if (skf_fmt(log, sizeof(log),
		    skf_streq(d->c->log_driver, "k8s-file") ? "log/%s.log" : "log/%s-json.log", d->id) < 0 ||
	    skf_fmt(name, sizeof(name), "/%s", d->c->name) < 0)
		return skf_fail(e, SKF_ECORRUPT, "the name of container '%.12s' is too long", d->id);
	skf_jw_obj(d->w);
	skf_jw_kstr(d->w, "Id", d->id);
	skf_jw_kstr(d->w, "Created", d->c->created);
	write_path_args(d);
	write_state(d);
	skf_jw_kstr(d->w, "Image", d->c->image_id);
	skf_jw_kstr(d->w, "Rootfs", d->c->rootfs ? d->c->rootfs : "");
	write_dir_path(d, "ResolvConfPath", "resolv.conf");
	write_dir_path(d, "HostnamePath", "hostname");
	write_dir_path(d, "HostsPath", "hosts");
	if (skf_streq(d->c->log_driver, "json-file") || skf_streq(d->c->log_driver, "local") ||
	    skf_streq(d->c->log_driver, "k8s-file"))
		write_dir_path(d, "LogPath", log);
	else
		skf_jw_kstr(d->w, "LogPath", "");
	skf_jw_kstr(d->w, "Name", name);
	skf_jw_kint(d->w, "RestartCount", d->l.sum.restarts);
	skf_jw_kstr(d->w, "Driver", d->c->storage->driver);
	skf_jw_kstr(d->w, "Platform", "linux");
	skf_jw_kstr(d->w, "MountLabel", d->c->mount_label ? d->c->mount_label : "");
	skf_jw_kstr(d->w, "ProcessLabel", d->c->process_label ? d->c->process_label : "");
	skf_jw_kstr(d->w, "AppArmorProfile",
		    d->spec->process && d->spec->process->apparmor_profile
			    ? d->spec->process->apparmor_profile
			    : "");
	write_execs(d);
	if (write_host_config(d, e) < 0)
		return -1;
	write_driver(d);
	if (d->size && write_sizes(d, e) < 0)
		return -1;
	skf_inspect_mounts(d->w, &d->q->mount_points);
	write_config(d);
	if (skf_net_inspect(d->g, d->id, d->w, e) < 0)
		return -1;
	skf_jw_end(d->w);
	return d->w->b->err < 0
		       ? skf_fail_sys(e, d->w->b->err, "write the document of container '%.12s'", d->id)
		       : 0;
}

static int load(struct doc *d, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf text = SKF_BUF(SKF_MAX_SPEC_BYTES);
	const struct skf_spec_opts o = {.log = &d->g->log, .name = "config.json"};

	if (skf_ctr_load_text(d->g, d->id, &text, e) < 0 ||
	    skf_ctrconf_parse(skf_buf_cstr(&text), text.len, d->a, &d->c, e) < 0 ||
	    skf_spec_parse(skf_buf_cstr(&text), text.len, &o, d->a, &d->spec, e) < 0)
		return skf_ctx(e, "container '%.12s'", d->id);
	return 0;
}

int skf_engine_inspect(struct skf_engine *g, const char *container, bool size, struct skf_jw *w,
		       struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	char id[SKF_ID_LEN + 1];
	struct doc d = {.g = g, .id = id, .size = size, .w = w, .a = &a};

	if (skf_engine_resolve(g, container, id, e) < 0 || load(&d, e) < 0 ||
	    skf_ctr_request_parse(d.c->request, &a, &d.q, e) < 0 || skf_ctr_live(g, id, &d.l, e) < 0)
		return -1;
	return write_all(&d, e);
}
