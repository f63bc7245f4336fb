/* engine/life_req.h -- of a request to make a container: how it lives and ends, and where its output goes.
 * Part of struct skf_create_req. */
#pragma once
#include "base/json.h"

struct skf_health_req {  /* --health-*; 0 or NULL: the image's, else docker's default */
	bool none;       /* --no-healthcheck */
	const char *cmd; /* a shell line, or a JSON array */
	int64_t interval_ns, timeout_ns, start_period_ns, start_interval_ns;
	uint32_t retries;
	const char *on_failure; /* none, kill, restart, stop */
};
struct skf_life_req {
	const char *restart; /* no, always, on-failure[:n], unless-stopped */
	struct skf_health_req health;
	const char *log_driver;   /* NULL: json-file */
	struct skf_strv log_opts; /* KEY=VALUE */
	const char *sdnotify;     /* conmon, container, healthy, ignore (NULL) */
	const char *init_path;    /* --init-path; NULL: ours */
};
