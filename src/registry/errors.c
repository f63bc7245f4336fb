/* registry/errors.c -- what a registry's refusal means: its status and the code of its error document
 * (distribution-spec "Error Codes") as a kind of error and one sentence. Pure: bytes that a registry chose,
 * bounded. */
#include "base/arena.h"
#include "base/json.h"
#include "registry/registry_int.h"

struct reg_error {
	char *code, *message;
};
static const struct skf_jfield reg_error_fields[] = {
	SKF_J(struct reg_error, code, "code", skf_j_str, NULL, SKF_J_NULL_OK),
	SKF_J(struct reg_error, message, "message", skf_j_str, NULL, SKF_J_NULL_OK),
	SKF_J_END,
};
static const struct skf_jtable reg_error_table = {.size = sizeof(struct reg_error), .f = reg_error_fields};
static const struct skf_jarr_arg reg_errors_arg = {&reg_error_table, 64};
struct reg_errors {
	struct skf_jarr errors;
};
static const struct skf_jfield reg_errors_fields[] = {
	SKF_J(struct reg_errors, errors, "errors", skf_j_arr, &reg_errors_arg, SKF_J_NULL_OK),
	SKF_J_END,
};
static const struct skf_jtable reg_errors_table = {.size = sizeof(struct reg_errors),
						   .f = reg_errors_fields};

/* distribution-spec "Error Codes": all fourteen. The code says more than the status that it comes with. */
static const struct {
	const char *code;
	enum skf_kind kind;
} codes[] = {
	{"BLOB_UNKNOWN", SKF_ENOTFOUND},
	{"BLOB_UPLOAD_INVALID", SKF_EINVALID},
	{"BLOB_UPLOAD_UNKNOWN", SKF_ENOTFOUND},
	{"DIGEST_INVALID", SKF_ECORRUPT},
	{"MANIFEST_BLOB_UNKNOWN", SKF_ENOTFOUND},
	{"MANIFEST_INVALID", SKF_EINVALID},
	{"MANIFEST_UNKNOWN", SKF_ENOTFOUND},
	{"NAME_INVALID", SKF_EINVALID},
	{"NAME_UNKNOWN", SKF_ENOTFOUND},
	{"SIZE_INVALID", SKF_ECORRUPT},
	{"UNAUTHORIZED", SKF_EDENIED},
	{"DENIED", SKF_EDENIED},
	{"UNSUPPORTED", SKF_EUNSUPPORTED},
	{"TOOMANYREQUESTS", SKF_EUNAVAILABLE},
};

static enum skf_kind kind_of(const char *code, long status)
{
	for (size_t i = 0; i < SKF_ARRAY_LEN(codes); i++)
		if (skf_streq(codes[i].code, code))
			return codes[i].kind;
	static const struct {
		long status;
		enum skf_kind kind;
	} t[] = {{400, SKF_EINVALID},  {401, SKF_EDENIED},  {403, SKF_EDENIED},
		 {404, SKF_ENOTFOUND}, {408, SKF_ETIMEOUT}, {410, SKF_ENOTFOUND}};
	for (size_t i = 0; i < SKF_ARRAY_LEN(t); i++)
		if (t[i].status == status)
			return t[i].kind;
	return SKF_EUNAVAILABLE;
}

int skf_http_fail_status(const struct skf_registry *r, const struct skf_http_resp *p, const char *what,
			 struct skf_err *e)
{
	static const struct {
		long status;
		const char *hint;
	} hints[] = {
		{401, "unauthorized: authentication required; log in, or check the user and password in "
		      "docker's config.json"},
		{403, "denied: these credentials may not read it"},
		{404, "not found: check the name and the tag"},
		{429, "too many requests: wait, or log in for a higher limit"},
	};
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1u << 20);
	const struct skf_jdoc d = {.name = "registry error", .max_bytes = 65536};
	const char *code = "", *msg = "";
	struct skf_err ignored = SKF_ERR_INIT; /* the body is only a nicety: without it the status speaks */
	void *doc;
	if (p->body.len &&
	    skf_json_decode(&d, p->body.p, p->body.len, &reg_errors_table, &a, &doc, &ignored) == 0) {
		const struct reg_errors *x = doc;
		const struct reg_error *first = x->errors.v;
		if (x->errors.n) {
			code = first->code ? first->code : "";
			msg = first->message ? first->message : "";
		}
	}
	const char *hint = p->status >= 500 ? "the registry has a problem of its own; try again later" : "";
	for (size_t i = 0; i < SKF_ARRAY_LEN(hints); i++)
		if (hints[i].status == p->status)
			hint = hints[i].hint;
	if (p->status == 401 && r->given_token)
		hint = "unauthorized: the registry token is not, or no longer, good for this";
	return skf_fail(e, kind_of(code, p->status), "%s: registry '%s' answered %ld%s%.60s%s%.120s%s%s%s",
			what, r->host, p->status, *code ? " " : "", code, *msg ? ": " : "", msg,
			*hint ? " (" : "", hint, *hint ? ")" : "");
}
