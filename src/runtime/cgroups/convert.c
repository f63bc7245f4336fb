/* convert.c -- values of the spec (which is written for cgroup v1) as cgroup v2 wants them. Pure; no libm,
 * because the programs that link this are static or may depend on libc alone. */
#include "base/buf.h"
#include "runtime/cgroups/cgroups_int.h"

/* log2 by repeated squaring: exact for powers of two, otherwise good to about 1e-14. */
static double log2_of(uint64_t v)
{
	int whole = 63 - __builtin_clzll(v);
	double m = (double)v / (double)(1ull << whole), bit = 0.5, frac = 0;

	for (int i = 0; i < 52; i++, bit /= 2) {
		m *= m;
		if (m >= 2) {
			m /= 2;
			frac += bit;
		}
	}
	return whole + frac;
}

/* 10 to the power of x, 0 <= x <= 4: powers of ten are exact. */
static double pow10_of(double x)
{
	int whole = (int)x;
	double y = (x - whole) * 2.302585092994045684, term = 1, sum = 1;

	for (int i = 1; i < 40; i++) {
		term *= y / i;
		sum += term;
	}
	for (; whole > 0; whole--)
		sum *= 10;
	return sum;
}

uint64_t skf_cg_shares_to_weight(uint64_t shares)
{
	double l, w;

	if (shares == 0)
		return 0;
	if (shares <= 2)
		return 1;
	if (shares >= 262144)
		return 10000;
	l = log2_of(shares);
	w = pow10_of((l * l + 125 * l) / 612.0 - 7.0 / 34.0);
	return (uint64_t)w + ((double)(uint64_t)w < w);
}

uint64_t skf_cg_blkio_to_io_weight(uint32_t weight)
{
	if (weight == 0)
		return 0;
	return weight < 10 ? 1 : 1 + ((uint64_t)weight - 10) * 9999 / 990;
}

int skf_cg_swap_to_v2(const struct skf_spec_resources *r, char out[24], struct skf_err *e)
{
	int64_t swap = r->memory.has_swap ? r->memory.swap : 0,
		limit = r->memory.has_limit ? r->memory.limit : 0;

	out[0] = '\0';
	if (swap == 0)
		return limit == -1 ? skf_fmt(out, 24, "max") : 0;
	if (swap == -1)
		return skf_fmt(out, 24, "max");
	if (swap < -1)
		return skf_fail(e, SKF_EINVALID,
				"linux.resources.memory.swap is %lld; -1 means unlimited, other negative "
				"values are not allowed",
				(long long)swap);
	if (limit == -1)
		return skf_fmt(out, 24, "%lld", (long long)swap);
	if (limit <= 0)
		return skf_fail(e, SKF_EINVALID,
				"linux.resources.memory.swap is set without memory.limit; swap counts "
				"memory and swap together, so "
				"set both");
	if (swap < limit)
		return skf_fail(e, SKF_EINVALID,
				"linux.resources.memory.swap (%lld) is below memory.limit (%lld); it counts "
				"memory and swap together",
				(long long)swap, (long long)limit);
	return skf_fmt(out, 24, "%lld", (long long)(swap - limit));
}
