/* oci/ref.h -- image references: grammar of distribution/reference, docker's normalisation. Pure, fuzzed.
 *   debian            -> docker.io/library/debian:latest
 *   localhost:5000/a/b:tag@sha256:...  kept; "a.b/c" has registry a.b */
#pragma once
#include "base/fwd.h"
#include "base/limits.h"
#include "oci/digest.h"
struct skf_ref {
	char registry[SKF_MAX_REPO_BYTES + 1]; /* "docker.io", "localhost:5000" */
	char repo[SKF_MAX_REPO_BYTES + 1];     /* "library/debian" */
	char tag[SKF_MAX_TAG_BYTES + 1];       /* "" when only a digest was given; else default "latest" */
	struct skf_digest digest;              /* s[0] == 0 when none */
};
/* INVALID "invalid reference format ..." (docker's words). No repository part begins with '_' (DESIGN 4). */
int skf_ref_parse(const char *s, struct skf_ref *ret, struct skf_err *e);
/* Is this a tag, whole and alone? What passes is safe in a URL. */
bool skf_ref_tag_ok(const char *tag);
/* Full form "registry/repo:tag@digest". out holds SKF_MAX_REF_BYTES + 1. */
void skf_ref_full(const struct skf_ref *r, char out[SKF_MAX_REF_BYTES + 1]);
/* docker's familiar form for people: "debian" for docker.io/library/debian. Without tag and digest. */
void skf_ref_familiar_name(const struct skf_ref *r, char out[SKF_MAX_REF_BYTES + 1]);
