/* Index, manifest and config documents: what registries serve, and ambiguous documents (T48). */
#include "oci_test.h"
#include "oci/image.h"
#include <stdio.h>

#define H          "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define D          "sha256:" H
#define OCI_I      "application/vnd.oci.image.index.v1+json"
#define OCI_M      "application/vnd.oci.image.manifest.v1+json"
#define OCI_C      "application/vnd.oci.image.config.v1+json"
#define OCI_L      "application/vnd.oci.image.layer.v1.tar+gzip"
#define DOC_I      "application/vnd.docker.distribution.manifest.list.v2+json"
#define DOC_M      "application/vnd.docker.distribution.manifest.v2+json"
#define DESC(type) "{'mediaType':'" type "','digest':'" D "','size':7}"

static void test_media(void **state)
{
	(void)state;
	assert_int_equal(skf_media_parse(OCI_I), SKF_MEDIA_INDEX);
	assert_int_equal(skf_media_parse(DOC_I), SKF_MEDIA_INDEX);
	assert_int_equal(skf_media_parse(" " OCI_M " ; charset=utf-8"), SKF_MEDIA_MANIFEST);
	assert_int_equal(skf_media_parse("Application/Vnd.OCI.image.manifest.v1+JSON"), SKF_MEDIA_MANIFEST);
	assert_int_equal(skf_media_parse("application/vnd.docker.image.rootfs.diff.tar.gzip"),
			 SKF_MEDIA_LAYER_GZIP);
	assert_int_equal(skf_media_parse("application/vnd.oci.image.layer.v1.tar+zstd"),
			 SKF_MEDIA_LAYER_ZSTD);
	assert_int_equal(skf_media_parse("application/vnd.oci.image.layer.v1.tar"), SKF_MEDIA_LAYER_TAR);
	assert_int_equal(skf_media_parse("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
			 SKF_MEDIA_LAYER_FOREIGN);
	assert_int_equal(skf_media_parse(OCI_M "x"), SKF_MEDIA_UNKNOWN);
	assert_int_equal(skf_media_parse("application/json"), SKF_MEDIA_UNKNOWN);
	assert_int_equal(skf_media_parse(""), SKF_MEDIA_UNKNOWN);
	assert_int_equal(skf_media_parse(";"), SKF_MEDIA_UNKNOWN);
}

static int kind_of(const char *quoted, const char *type, struct skf_err *e)
{
	SKF_AUTO_FREE char *t = json_text(quoted);
	enum skf_media m = SKF_MEDIA_UNKNOWN;

	*e = (struct skf_err)SKF_ERR_INIT;
	return skf_manifest_kind(t, strlen(t), type, &m, e) < 0 ? -1 : (int)m;
}

#define MAN(extra) "{'schemaVersion':2,'config':" DESC(OCI_C) ",'layers':[" DESC(OCI_L) "]" extra "}"
#define IDX(extra) "{'schemaVersion':2,'manifests':[" DESC(OCI_M) "]" extra "}"

static void test_kind(void **state)
{
	static const struct {
		const char *doc, *type;
		int kind; /* 0: an error */
		enum skf_kind err;
		const char *msg;
	} rows[] = {
		{MAN(""), "", SKF_MEDIA_MANIFEST, SKF_OK, NULL},
		{MAN(""), NULL, SKF_MEDIA_MANIFEST, SKF_OK, NULL},
		{MAN(",'mediaType':'" OCI_M "'"), OCI_M, SKF_MEDIA_MANIFEST, SKF_OK, NULL},
		{MAN(",'mediaType':'" OCI_M "'"), OCI_M "; charset=utf-8", SKF_MEDIA_MANIFEST, SKF_OK, NULL},
		{MAN(",'mediaType':'" DOC_M "'"), DOC_M, SKF_MEDIA_MANIFEST, SKF_OK, NULL},
		{MAN(",'mediaType':'" DOC_M "'"), "application/json", SKF_MEDIA_MANIFEST, SKF_OK, NULL},
		{MAN(",'subject':" DESC(OCI_M) ",'annotations':{'a':'b'}"), OCI_M, SKF_MEDIA_MANIFEST,
		 SKF_OK, NULL},
		{IDX(""), OCI_I, SKF_MEDIA_INDEX, SKF_OK, NULL},
		{IDX(",'mediaType':'" DOC_I "'"), DOC_I, SKF_MEDIA_INDEX, SKF_OK, NULL},
		{MAN(",'manifests':[]"), OCI_M, 0, SKF_EINVALID, "which is ambiguous"},
		{MAN(",'manifests':null"), OCI_M, 0, SKF_EINVALID, "which is ambiguous"},
		{IDX(",'config':{}"), OCI_I, 0, SKF_EINVALID, "which is ambiguous"},
		{IDX(",'layers':[]"), OCI_I, 0, SKF_EINVALID, "which is ambiguous"},
		{MAN(",'Manifests':[]"), OCI_M, 0, SKF_EINVALID,
		 "manifest: /Manifests: differs from a known key only in case"},
		{MAN(",'MEDIATYPE':'" OCI_I "'"), OCI_M, 0, SKF_EINVALID,
		 "manifest: /MEDIATYPE: differs from a known key only in case"},
		{MAN(",'layers':[]"), OCI_M, 0, SKF_EINVALID, ""},
		{MAN(",'mediaType':'" OCI_I "'"), "", 0, SKF_EINVALID,
		 "manifest: mediaType says '" OCI_I "', but the document is an image manifest"},
		{IDX(",'mediaType':'" OCI_M "'"), "", 0, SKF_EINVALID,
		 "manifest: mediaType says '" OCI_M "', but the document is an image index"},
		{MAN(""), OCI_I, 0, SKF_EINVALID,
		 "manifest: Content-Type says '" OCI_I "', but the document is an image manifest"},
		{MAN(",'mediaType':'" OCI_M "'"), DOC_M, 0, SKF_EINVALID,
		 "manifest: mediaType says '" OCI_M "', but Content-Type says '" DOC_M "'"},
		{MAN(",'mediaType':'application/vnd.oci.artifact.manifest.v1+json'"), "", 0,
		 SKF_EUNSUPPORTED, "mediaType says"},
		{MAN(",'mediaType':'" OCI_L "'"), "", 0, SKF_EINVALID, "mediaType says"},
		{"{'schemaVersion':2}", "", 0, SKF_EINVALID, "has neither 'manifests' nor 'layers'"},
		{"{'config':{},'layers':[]}", "", 0, SKF_EINVALID,
		 "manifest: required property 'schemaVersion' is missing"},
		{"{'schemaVersion':3,'layers':[]}", "", 0, SKF_EINVALID,
		 "manifest: /schemaVersion: expected 2, found 3"},
		{"{'schemaVersion':1,'fsLayers':[],'history':[]}", "", 0, SKF_EUNSUPPORTED,
		 "image manifest version 1 is not supported"},
		{"[]", "", 0, SKF_EINVALID, "manifest: expected object, found array"},
		{MAN("") "x", "", 0, SKF_EINVALID, "manifest: "},
		{"", "", 0, SKF_EINVALID, "manifest: "},
	};

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(rows); i++) {
		struct skf_err e;
		int k = kind_of(rows[i].doc, rows[i].type, &e);
		if (rows[i].kind && k != rows[i].kind)
			fail_msg("%s: %s", rows[i].doc, e.msg);
		if (rows[i].kind)
			continue;
		if (k >= 0)
			fail_msg("accepted: %s as %s", rows[i].doc, rows[i].type);
		if (e.kind != rows[i].err || !strstr(e.msg, rows[i].msg))
			fail_msg("%s\n  found    [%s] %s\n  expected %s", rows[i].doc, skf_kind_name(e.kind),
				 e.msg, rows[i].msg);
	}
}

static void test_manifest(void **state)
{
	static const char doc[] =
		"{'schemaVersion':2,'mediaType':'" DOC_M
		"','config':{'mediaType':'application/vnd.docker.container.image.v1+json',"
		"'size':1469,'digest':'" D "'},'layers':[{'mediaType':'application/"
		"vnd.docker.image.rootfs.diff.tar.gzip','size':5000000000,"
		"'digest':'" D
		"','urls':['http://x/y'],'annotations':{'k':'v'},'data':'QQ=='},{'mediaType':'what/"
		"ever','size':0,'digest':'sha512:" H H "'}],'annotations':{'a':'b'}}";
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	SKF_AUTO_FREE char *t = json_text(doc);
	struct skf_manifest *m;
	struct skf_err e = SKF_ERR_INIT;
	const struct skf_desc *l;

	(void)state;
	if (skf_manifest_parse(t, strlen(t), DOC_M, &a, &m, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(m->config.media, SKF_MEDIA_CONFIG);
	assert_int_equal(m->config.size, 1469);
	assert_int_equal(m->layers.n, 2);
	l = m->layers.v;
	assert_int_equal(l[0].media, SKF_MEDIA_LAYER_GZIP);
	assert_int_equal(l[0].size, 5000000000);
	assert_string_equal(l[0].digest.s, D);
	assert_int_equal(l[0].urls.n, 1);
	assert_string_equal(skf_kvs_get(&l[0].annotations, "k"), "v");
	assert_false(l[0].has_platform);
	assert_int_equal(l[1].media, SKF_MEDIA_UNKNOWN);
	assert_string_equal(l[1].media_type, "what/ever");
	assert_string_equal(skf_kvs_get(&m->annotations, "a"), "b");
	assert_int_equal(skf_manifest_parse(t, strlen(t), OCI_I, &a, &m, &e), -1);
	struct skf_index *x;
	assert_int_equal(skf_index_parse(t, strlen(t), "", &a, &x, &e), -1);
	assert_string_equal(e.msg, "manifest: expected an image index, found an image manifest");
}

static void test_bad_members(void **state)
{
#define BADL(layer) "{'schemaVersion':2,'config':" DESC(OCI_C) ",'layers':[" layer "]}"
	static const struct {
		const char *doc;
		enum skf_kind kind;
		const char *msg;
	} rows[] = {
		{BADL("{'digest':'" D "','size':1}"), SKF_EINVALID,
		 "manifest: /layers/0: required property 'mediaType' is missing"},
		{BADL("{'mediaType':'x','digest':'sha256:../../x','size':1}"), SKF_EINVALID,
		 "manifest: /layers/0/digest: invalid digest 'sha256:../../x': expected 64 lower-case hex "
		 "digits after 'sha256:'"},
		{BADL("{'mediaType':'x','digest':'md5:" H "','size':1}"), SKF_EINVALID,
		 "manifest: /layers/0/digest: invalid digest 'md5:"},
		{BADL("{'mediaType':'x','digest':'" D "','size':-1}"), SKF_EINVALID,
		 "manifest: /layers/0/size: expected unsigned integer, found -1"},
		{BADL("{'mediaType':'x','digest':'" D "','size':9223372036854775808}"), SKF_EINVALID,
		 "manifest: /layers/0/size: expected a size in bytes, found 9223372036854775808"},
		{BADL("{'mediaType':'x','digest':'" D "','size':1,'Digest':'x'}"), SKF_EINVALID,
		 "manifest: /layers/0/Digest: differs from a known key only in case, which is ambiguous"},
		{BADL("{'mediaType':'x','digest':'" D "','size':1,'platform':{'os':'linux'}}"), SKF_EINVALID,
		 "manifest: /layers/0/platform: required property 'architecture' is missing"},
		{BADL("{'mediaType':'x','digest':'" D "','size':1,'platform':{'os':'linux','architecture':"
		      "'aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd'}}"),
		 SKF_EINVALID,
		 "manifest: /layers/0/platform/architecture: expected at most 31 bytes, found"},
		{"{'schemaVersion':2,'layers':[]}", SKF_EINVALID,
		 "manifest: required property 'config' is missing"},
		{"{'schemaVersion':2,'config':" DESC(OCI_C) "}", SKF_EINVALID,
		 "manifest: required property 'layers' is missing"},
		{"{'schemaVersion':2,'config':null,'layers':[]}", SKF_EINVALID,
		 "manifest: /config: expected object, found null"},
	};

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(rows); i++) {
		SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
		SKF_AUTO_FREE char *t = json_text(rows[i].doc);
		struct skf_manifest *m;
		struct skf_err e = SKF_ERR_INIT;
		if (skf_manifest_parse(t, strlen(t), "", &a, &m, &e) == 0)
			fail_msg("accepted: %s", rows[i].doc);
		if (e.kind != rows[i].kind || strncmp(e.msg, rows[i].msg, strlen(rows[i].msg)) != 0)
			fail_msg("%s\n  found    [%s] %s\n  expected %s", rows[i].doc, skf_kind_name(e.kind),
				 e.msg, rows[i].msg);
	}
}

static void test_layer_limit(void **state)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(1u << 20);
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	SKF_AUTO_FREE char *desc = json_text(DESC(OCI_L));
	struct skf_manifest *m;
	struct skf_err e = SKF_ERR_INIT;

	(void)state;
	for (size_t n = SKF_MAX_LAYERS; n <= SKF_MAX_LAYERS + 1; n++) {
		skf_buf_clear(&b);
		skf_buf_fmt(&b, "{\"schemaVersion\":2,\"config\":%s,\"layers\":[", desc);
		for (size_t i = 0; i < n; i++)
			skf_buf_fmt(&b, "%s%s", i ? "," : "", desc);
		skf_buf_str(&b, "]}");
		assert_int_equal(skf_manifest_parse(b.p, b.len, OCI_M, &a, &m, &e),
				 n > SKF_MAX_LAYERS ? -1 : 0);
	}
	assert_int_equal(e.kind, SKF_ELIMIT);
	assert_string_equal(e.msg, "manifest: /layers: has 501 elements, at most 500 are allowed");
}

static void test_choose(void **state)
{
#define ENTRY(type, size, platform) "{'mediaType':'" type "','digest':'" D "','size':" size platform "}"
#define PLAT(os, arch, rest)        ",'platform':{'os':'" os "','architecture':'" arch "'" rest "}"
	/* clang-format off */
	static const char doc[] = "{'schemaVersion':2,'manifests':["
		ENTRY(OCI_M, "1", PLAT("linux", "arm", ",'variant':'v6'")) ","
		ENTRY(OCI_M, "2", PLAT("linux", "arm", ",'variant':'v7'")) ","
		ENTRY(OCI_M, "3", PLAT("linux", "arm64", ",'variant':'v8','os.features':['x']")) ","
		ENTRY(OCI_M, "4", PLAT("linux", "386", "")) ","
		ENTRY("application/vnd.in-toto+json", "5", PLAT("linux", "s390x", "")) ","
		ENTRY(OCI_M, "6", PLAT("unknown", "unknown", "")) ","
		ENTRY(OCI_I, "7", PLAT("linux", "ppc64le", "")) "]}";
	/* clang-format on */
	static const struct {
		const char *want;
		uint64_t size; /* 0: none */
	} rows[] = {
		{"linux/arm/v7", 2}, {"linux/arm/v6", 1},  {"linux/arm64", 3},
		{"linux/amd64", 4},  {"linux/386", 4},     {"linux/arm/v5", 0},
		{"linux/s390x", 0},  {"windows/amd64", 0}, {"linux/ppc64le", 7},
	};
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	SKF_AUTO_FREE char *t = json_text(doc);
	struct skf_index *x;
	const struct skf_desc *d;
	struct skf_err e = SKF_ERR_INIT;
	struct skf_platform p;

	(void)state;
	if (skf_index_parse(t, strlen(t), OCI_I, &a, &x, &e) < 0)
		fail_msg("%s", e.msg);
	for (size_t i = 0; i < SKF_ARRAY_LEN(rows); i++) {
		e = (struct skf_err)SKF_ERR_INIT;
		assert_int_equal(skf_platform_parse(rows[i].want, &p, &e), 0);
		int r = skf_index_choose(x, &p, &d, &e);
		if (r != (rows[i].size ? 0 : -1) || (r == 0 && d->size != rows[i].size))
			fail_msg("%s: %d %s", rows[i].want, r, r ? e.msg : "another entry");
	}
	assert_int_equal(e.kind, SKF_OK);
	assert_int_equal(skf_platform_parse("linux/riscv64", &p, &e), 0);
	assert_int_equal(skf_index_choose(x, &p, &d, &e), -1);
	assert_int_equal(e.kind, SKF_ENOTFOUND);
	assert_string_equal(e.msg, "no image for platform 'linux/riscv64' in the index; it has "
				   "linux/arm/v6, linux/arm/v7, linux/arm64/v8, "
				   "linux/386, linux/s390x, linux/ppc64le");
	/* Without a platform an entry is taken when nothing better is there. */
	SKF_AUTO_FREE char *bare = json_text("{'schemaVersion':2,'manifests':[" ENTRY(OCI_M, "1", "") "]}");
	assert_int_equal(skf_index_parse(bare, strlen(bare), "", &a, &x, &e), 0);
	assert_int_equal(skf_index_choose(x, &p, &d, &e), 0);
	SKF_AUTO_FREE char *none = json_text("{'schemaVersion':2,'manifests':[]}");
	assert_int_equal(skf_index_parse(none, strlen(none), "", &a, &x, &e), 0);
	assert_int_equal(skf_index_choose(x, &p, &d, &e), -1);
	assert_string_equal(e.msg, "no image for platform 'linux/riscv64' in the index; it has none");
}

static void test_config(void **state)
{
	static const char doc[] =
		"{'architecture':'arm64','variant':'v8','os':'linux','os.version':'x','created':'2026-01-"
		"01T00:00:00Z','author':'me',"
		"'docker_version':'20','container':'c','container_config':{'Cmd':['x']},'config':{'Hostname'"
		":'','User':'app','Env':['A=b'],"
		"'Cmd':['sh'],'Entrypoint':null,'WorkingDir':'/w','ExposedPorts':{'80/tcp':{},'53/"
		"udp':{}},'Volumes':{'/data':{}},"
		"'Labels':{'l':'1'},'StopSignal':'SIGQUIT','Shell':['/bin/"
		"bash','-c'],'Healthcheck':{'Test':['CMD','x']},'OnBuild':null},"
		"'rootfs':{'type':'layers','diff_ids':['" D
		"','sha256:ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff']},"
		"'history':[{'created_by':'/bin/sh'}]}";
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	SKF_AUTO_FREE char *t = json_text(doc);
	struct skf_image_config *c;
	struct skf_err e = SKF_ERR_INIT;

	(void)state;
	if (skf_image_config_parse(t, strlen(t), &a, &c, &e) < 0)
		fail_msg("%s", e.msg);
	assert_string_equal(c->platform.arch, "arm64");
	assert_string_equal(c->platform.variant, "v8");
	assert_string_equal(c->user, "app");
	assert_int_equal(c->entrypoint.n, 0);
	assert_string_equal(c->cmd.v[0], "sh");
	assert_string_equal(c->exposed_ports.v[1], "53/udp");
	assert_string_equal(c->volumes.v[0], "/data");
	assert_string_equal(skf_kvs_get(&c->labels, "l"), "1");
	assert_string_equal(c->stop_signal, "SIGQUIT");
	assert_string_equal(c->healthcheck_raw, "{\"Test\":[\"CMD\",\"x\"]}");
	assert_string_equal(c->history_raw, "[{\"created_by\":\"/bin/sh\"}]");
	assert_non_null(strstr(c->config_raw, "\"OnBuild\":null"));
	assert_int_equal(c->diff_ids.n, 2);
	assert_string_equal(((const struct skf_digest *)c->diff_ids.v)[0].s, D);
}

static void test_bad_config(void **state)
{
	static const struct {
		const char *doc, *msg;
	} rows[] = {
		{"{}", "image config: required property 'rootfs' is missing"},
		{"{'rootfs':{'diff_ids':[]}}", "image config: /rootfs: required property 'type' is missing"},
		{"{'rootfs':{'type':'tree','diff_ids':[]}}",
		 "image config: /rootfs/type: expected one of 'layers', found 'tree'"},
		{"{'rootfs':{'type':'layers','diff_ids':['x']}}",
		 "image config: /rootfs/diff_ids/0: invalid digest 'x'"},
		{"{'rootfs':{'type':'layers','diff_ids':[]},'config':{'Env':'A=b'}}",
		 "image config: /config/Env: expected array of strings, found string"},
		{"{'rootfs':{'type':'layers','diff_ids':[]},'config':{'user':'root'}}",
		 "image config: /config/user: differs from a known key only in case"},
		{"{'rootfs':{'type':'layers','diff_ids':[]},'Config':{}}",
		 "image config: /Config: differs from a known key only in case"},
	};

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(rows); i++) {
		SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
		SKF_AUTO_FREE char *t = json_text(rows[i].doc);
		struct skf_image_config *c;
		struct skf_err e = SKF_ERR_INIT;
		if (skf_image_config_parse(t, strlen(t), &a, &c, &e) == 0)
			fail_msg("accepted: %s", rows[i].doc);
		if (e.kind != SKF_EINVALID || strncmp(e.msg, rows[i].msg, strlen(rows[i].msg)) != 0)
			fail_msg("%s\n  found    %s\n  expected %s", rows[i].doc, e.msg, rows[i].msg);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_media),       cmocka_unit_test(test_kind),
		cmocka_unit_test(test_manifest),    cmocka_unit_test(test_bad_members),
		cmocka_unit_test(test_layer_limit), cmocka_unit_test(test_choose),
		cmocka_unit_test(test_config),      cmocka_unit_test(test_bad_config),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
