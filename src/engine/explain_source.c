/* engine/explain_source.c -- where a property comes from: what plan_from.c wrote down, else the member of
 * "request" that a flag made, else the default. */
#include "engine/explain_int.h"
#include <json-c/json.h>
#include <string.h>

#define UNKNOWN "unknown (created by an older skiff)"

bool skf_ex_has(const struct skf_strv *v, const char *word)
{
	for (size_t i = 0; i < v->n; i++)
		if (skf_streq(v->v[i], word))
			return true;
	return false;
}

const char *skf_ex_opt(const struct skf_ex *x, const char *name)
{
	const struct skf_strv *v = &x->q->s.security_opt;
	size_t n = strlen(name);

	for (size_t i = v->n; i-- > 0;)
		if (strncmp(v->v[i], name, n) == 0 && (!v->v[i][n] || strchr("=:", v->v[i][n])))
			return v->v[i][n] ? v->v[i] + n + 1 : "";
	return NULL;
}

static const char *of_flag(struct skf_ex *x, const char *flag)
{
	return flag ? skf_ex_text(x, "flag %s", flag) : "command line";
}

/* Words that a later version may add are shown as they are. */
static const char *of_word(struct skf_ex *x, const char *word, const char *flag)
{
	if (skf_streq(word, "flag"))
		return of_flag(x, flag);
	if (skf_streq(word, "keep-id"))
		return "flag --userns";
	if (skf_streq(word, "pod") && x->pod)
		return skf_ex_text(x, "pod %s", x->pod->name);
	return word;
}

static bool among(const char *key, const char *const *keys)
{
	while (*keys && !skf_streq(*keys, key))
		keys++;
	return *keys != NULL;
}

/* Members of "request" that hold what is in effect, given or not (inspect shows them). */
static const char *const effective[] = {"user", "workdir",  "stopSignal", "entrypoint",
					"cmd",  "hostname", "init",       NULL};
/* What else than a flag of "request" may have decided: plan_from.c. The others are the default when no flag
 * is there, also of an old container. */
static const char *const recorded[] = {"user",        "workdir",         "stopSignal",   "entrypoint",
				       "cmd",         "hostname",        "init",         "health",
				       "healthTimes", "healthOnFailure", "network",      "publish",
				       "egress",      "logDriver",       "restart",      "stopTimeout",
				       "pidsLimit",   "shmSize",         "cgroupParent", "seccomp",
				       "apparmor",    "noNewPrivileges", "readonly",     "ulimits",
				       "umask",       "userns",          "runtime",      NULL};

const char *skf_ex_source(struct skf_ex *x, const char *key, const char *flag)
{
	const char *from = key ? skf_kvs_get(&x->q->from, key) : NULL, *rest = skf_kvs_get(&x->q->from, "*");

	if (!key)
		return "default";
	if (from)
		return of_word(x, from, flag);
	if (!among(key, effective) && json_object_object_get_ex(x->request, key, NULL))
		return of_flag(x, flag);
	if (rest)
		return of_word(x, rest, flag);
	return among(key, recorded) ? UNKNOWN : "default";
}
