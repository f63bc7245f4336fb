/* engine/names.c -- container names: the rule, made-up names and ids, and names/<name>, a symlink to the id
 * claimed with symlink(2), which is exclusive by itself. */
#include "engine/engine_int.h"
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define RANDOM_TRIES 20

static const char *const adjectives[] = {
	"able",   "agile",   "airy",   "ample",  "amber",   "apt",    "bold",    "brave",  "breezy",
	"bright", "brisk",   "calm",   "candid", "cheery",  "civil",  "clear",   "clever", "cosy",
	"crisp",  "deft",    "eager",  "early",  "earnest", "easy",   "fair",    "fancy",  "fearless",
	"fine",   "firm",    "fleet",  "fond",   "free",    "fresh",  "frosty",  "gentle", "giddy",
	"glad",   "golden",  "grand",  "hardy",  "hasty",   "hearty", "honest",  "humble", "jolly",
	"keen",   "kind",    "lively", "loyal",  "lucid",   "lucky",  "mellow",  "merry",  "mild",
	"modest", "neat",    "nimble", "noble",  "patient", "placid", "plucky",  "polite", "prompt",
	"proud",  "quick",   "quiet",  "rapid",  "ready",   "robust", "rosy",    "serene", "sharp",
	"silent", "sincere", "sleek",  "smart",  "snug",    "sober",  "solid",   "spry",   "stable",
	"steady", "sturdy",  "subtle", "sunny",  "swift",   "tender", "thrifty", "tidy",   "trusty",
	"upbeat", "valiant", "vivid",  "warm",   "wise",    "witty",  "zesty",
};
static const char *const surnames[] = {
	"abbe",      "abel",       "agnesi",    "ampere",     "archimedes", "avogadro", "babbage",
	"bell",      "bernoulli",  "bohr",      "boltzmann",  "boole",      "born",     "bose",
	"boyle",     "brahe",      "cantor",    "carnot",     "cavendish",  "celsius",  "church",
	"clausius",  "copernicus", "coulomb",   "curie",      "cuvier",     "dalton",   "darwin",
	"descartes", "dijkstra",   "dirac",     "doppler",    "edison",     "einstein", "erdos",
	"euclid",    "euler",      "faraday",   "fermat",     "fermi",      "feynman",  "fibonacci",
	"fourier",   "franklin",   "galileo",   "galois",     "gauss",      "germain",  "goedel",
	"goodall",   "halley",     "hamilton",  "heisenberg", "hertz",      "hilbert",  "hooke",
	"hopper",    "hubble",     "humboldt",  "huygens",    "hypatia",    "jacobi",   "joule",
	"kelvin",    "kepler",     "kirchhoff", "lagrange",   "lamarr",     "laplace",  "lavoisier",
	"leibniz",   "linnaeus",   "lorentz",   "lovelace",   "mach",       "maxwell",  "meitner",
	"mendel",    "mendeleev",  "minkowski", "nash",       "newton",     "noether",  "ohm",
	"pascal",    "pasteur",    "pauli",     "planck",     "poincare",   "ptolemy",  "ramanujan",
	"raman",     "riemann",    "ritchie",   "roentgen",   "rutherford", "sagan",    "schroedinger",
	"shannon",   "somerville", "tesla",     "torvalds",   "turing",     "volta",    "watt",
	"wiener",    "wilson",     "wirth",     "yalow",      "zuse",
};

static bool alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool skf_name_valid(const char *s)
{
	size_t n = strlen(s);

	if (n < 1 || n > SKF_MAX_NAME_BYTES || !alnum(s[0]))
		return false;
	for (size_t i = 1; i < n; i++)
		if (!alnum(s[i]) && s[i] != '_' && s[i] != '.' && s[i] != '-')
			return false;
	return true;
}

int skf_id_random(char out[SKF_ID_LEN + 1])
{
	int r;

	do {
		r = skf_random_hex(out, SKF_ID_LEN / 2);
	} while (r == 0 && strspn(out, "0123456789") >= SKF_SHORT_ID);
	return r;
}

int skf_name_random(unsigned salt, char out[SKF_MAX_NAME_BYTES + 1])
{
	uint32_t r[2];
	const char *a, *b;

	if (getrandom(r, sizeof(r), 0) != (ssize_t)sizeof(r))
		return -errno;
	a = adjectives[r[0] % SKF_ARRAY_LEN(adjectives)];
	b = surnames[r[1] % SKF_ARRAY_LEN(surnames)];
	if (salt)
		return skf_fmt(out, SKF_MAX_NAME_BYTES + 1, "%s_%s%u", a, b, salt);
	return skf_fmt(out, SKF_MAX_NAME_BYTES + 1, "%s_%s", a, b);
}

int skf_name_find(struct skf_engine *g, const char *name, char ret[SKF_ID_LEN + 1], struct skf_err *e)
{
	char id[SKF_ID_LEN + 2];
	ssize_t n;

	if (!skf_name_valid(name))
		return 0;
	n = readlinkat(g->names_fd, name, id, sizeof(id) - 1);
	if (n < 0)
		return errno == ENOENT
			       ? 0
			       : skf_fail_sys(e, -errno, "read the name '%s' in '%s/names'", name, g->root);
	id[n] = '\0';
	if (!skf_ctr_id_valid(id))
		return skf_fail(e, SKF_ECORRUPT,
				"the name '%s' in '%s/names' does not hold an id; `skiff system check "
				"--repair` removes it",
				name, g->root);
	memcpy(ret, id, SKF_ID_LEN + 1);
	return 1;
}

int skf_name_claim(struct skf_engine *g, const char *name, const char *id, struct skf_err *e)
{
	char holder[SKF_ID_LEN + 1];
	struct skf_err ignored = SKF_ERR_INIT;

	if (!skf_name_valid(name))
		return skf_fail(e, SKF_EINVALID,
				"Invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
				name);
	if (symlinkat(id, g->names_fd, name) == 0)
		return 0;
	if (errno != EEXIST)
		return skf_fail_sys(e, -errno, "claim the name '%s' in '%s/names'", name, g->root);
	if (skf_name_find(g, name, holder, &ignored) != 1)
		memcpy(holder, "unknown",
		       sizeof("unknown")); /* given back this moment, or damaged: the message says less */
	return skf_fail(e, SKF_ECONFLICT,
			"Conflict. The container name \"/%s\" is already in use by container \"%s\". You "
			"have to remove (or rename) "
			"that container to be able to reuse that name",
			name, holder);
}

int skf_name_claim_random(struct skf_engine *g, const char *id, char out[SKF_MAX_NAME_BYTES + 1],
			  struct skf_err *e)
{
	int r;

	for (unsigned i = 0; i < RANDOM_TRIES; i++) {
		r = skf_name_random(i, out);
		if (r < 0)
			return skf_fail_sys(e, r, "make up a container name");
		if (symlinkat(id, g->names_fd, out) == 0)
			return 0;
		if (errno != EEXIST)
			return skf_fail_sys(e, -errno, "claim the name '%s' in '%s/names'", out, g->root);
	}
	return skf_fail(e, SKF_ECONFLICT, "no free name found in %d tries; give one with --name",
			RANDOM_TRIES);
}

int skf_name_release(struct skf_engine *g, const char *name, const char *id, struct skf_err *e)
{
	char holder[SKF_ID_LEN + 2];
	ssize_t n;

	if (!skf_name_valid(name))
		return 0;
	n = readlinkat(g->names_fd, name, holder, sizeof(holder) - 1);
	if (n < 0)
		return errno == ENOENT
			       ? 0
			       : skf_fail_sys(e, -errno, "read the name '%s' in '%s/names'", name, g->root);
	holder[n] = '\0';
	/* Nobody can claim the name between here and the unlink: it exists, and only the holder of this
	 * container's lock gives it back. */
	if (!skf_streq(holder, id))
		return 0;
	if (unlinkat(g->names_fd, name, 0) < 0 && errno != ENOENT)
		return skf_fail_sys(e, -errno, "give back the name '%s' in '%s/names'", name, g->root);
	return 0;
}
