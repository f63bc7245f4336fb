/* store/crc64.c -- CRC-64/XZ: names the file that changed in a layer whose tar as a whole has a SHA-256. By
 * ISA-L (carry-less multiplication: 40 times as fast as SHA-256 with SHA-NI), else by a table of half-bytes,
 * which only reads what others wrote. Pure. */
#include "store/unpack_int.h"
#ifdef SKF_HAVE_ISAL
#include <isa-l/crc64.h>

uint64_t skf_crc64(uint64_t crc, const void *p, size_t n)
{
	return crc64_ecma_refl(crc, p, n);
}

uint64_t skf_crc64_iso(uint64_t crc, const void *p, size_t n)
{
	return crc64_iso_refl(crc, p, n);
}

bool skf_crc64_fast(void)
{
	return true;
}
#else
static const uint64_t half[16] = {
	0x0000000000000000, 0x7d9ba13851336649, 0xfb374270a266cc92, 0x86ace348f355aadb,
	0x64b62bcaebc387a1, 0x192d8af2baf0e1e8, 0x9f8169ba49a54b33, 0xe21ac88218962d7a,
	0xc96c5795d7870f42, 0xb4f7f6ad86b4690b, 0x325b15e575e1c3d0, 0x4fc0b4dd24d2a599,
	0xadda7c5f3c4488e3, 0xd041dd676d77eeaa, 0x56ed3e2f9e224471, 0x2b769f17cf112238,
};

static const uint64_t half_iso[16] = {
	0x0000000000000000, 0x1b00000000000000, 0x3600000000000000, 0x2d00000000000000,
	0x6c00000000000000, 0x7700000000000000, 0x5a00000000000000, 0x4100000000000000,
	0xd800000000000000, 0xc300000000000000, 0xee00000000000000, 0xf500000000000000,
	0xb400000000000000, 0xaf00000000000000, 0x8200000000000000, 0x9900000000000000,
};

static uint64_t by_halves(const uint64_t table[16], uint64_t crc, const uint8_t *b, size_t n)
{
	crc = ~crc;
	for (; n > 0; n--, b++) {
		crc = crc >> 4 ^ table[(crc ^ *b) & 15];
		crc = crc >> 4 ^ table[(crc ^ (uint64_t)(*b >> 4)) & 15];
	}
	return ~crc;
}

uint64_t skf_crc64(uint64_t crc, const void *p, size_t n)
{
	return by_halves(half, crc, p, n);
}

uint64_t skf_crc64_iso(uint64_t crc, const void *p, size_t n)
{
	return by_halves(half_iso, crc, p, n);
}

bool skf_crc64_fast(void)
{
	return false;
}
#endif
