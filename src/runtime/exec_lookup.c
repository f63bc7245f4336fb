/* runtime/exec_lookup.c -- from args[0] to the file that execve gets, and why an execve failed.
 *
 * Runs inside the container, with its root, working directory and credentials, before the container counts
 * as created: so a missing program fails `create`, in the words that podman, containerd and docker recognise
 * ("executable file not found in $PATH", "no such file or directory", "permission denied": exit status 127,
 * 127, 126). Relative entries of PATH are skipped: what they name depends on the working directory, which
 * the image's author may not control. Blocks on the container's file system only. */
#include "runtime/runtime_int.h"

#include "oci/spec.h"

#include <ctype.h>
#include <elf.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char default_path[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/* 0, or the -errno that execve would give. */
static int check_executable(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return skf_errno();
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode))
		return -EACCES;
	/* the kernel's own answer, for the rights that are in force now: an ambient CAP_DAC_OVERRIDE counts
	 */
	return skf_sys(faccessat(AT_FDCWD, path, X_OK, AT_EACCESS));
}

static const char *search_path(const struct skf_spec_process *p)
{
	for (size_t i = 0; i < p->env.n; i++)
		if (skf_startswith(p->env.v[i], "PATH="))
			return p->env.v[i] + 5;
	return default_path;
}

/* Kind and words of an errno, as runc and Go say them. */
static int exec_error(const char *arg0, int err, struct skf_err *e)
{
	switch (err) {
	case ENOENT:
	case ENOTDIR:
		return skf_fail(e, SKF_ECMD_NOTFOUND, "exec: \"%s\": stat %s: no such file or directory",
				arg0, arg0);
	case EISDIR:
		return skf_fail(e, SKF_ECMD_NOTEXEC, "exec: \"%s\": is a directory: permission denied",
				arg0);
	case EACCES:
	case EPERM:
		return skf_fail(e, SKF_ECMD_NOTEXEC, "exec: \"%s\": permission denied", arg0);
	default:
		return skf_fail(e, SKF_ECMD_NOTEXEC, "exec: \"%s\": %s", arg0, strerror(err));
	}
}

static int search(const struct skf_spec_process *p, char *out, size_t size, struct skf_err *e)
{
	const char *arg0 = p->args.v[0], *dir = search_path(p);
	bool denied = false;

	while (*dir) {
		size_t n = strcspn(dir, ":");

		if (n > 0 && dir[0] == '/' && skf_fmt(out, size, "%.*s/%s", (int)n, dir, arg0) == 0) {
			int r = check_executable(out);

			if (r == 0)
				return 0;
			denied = denied || r == -EACCES;
		}
		dir += n + (dir[n] == ':');
	}
	if (denied)
		return exec_error(arg0, EACCES, e);
	return skf_fail(e, SKF_ECMD_NOTFOUND,
			"exec: \"%s\": executable file not found in $PATH: No such file or directory", arg0);
}

int skf_exec_lookup(const struct skf_spec_process *p, char *out, size_t size, struct skf_err *e)
{
	const char *arg0;
	int r;

	if (p->args.n == 0)
		return skf_fail(e, SKF_EINVALID, "config.json: /process/args must not be empty");
	arg0 = p->args.v[0];
	if (*arg0 == '\0')
		return skf_fail(e, SKF_ECMD_NOTFOUND,
				"exec: \"\": executable file not found in $PATH: No such file or directory");
	if (!strchr(arg0, '/'))
		return search(p, out, size, e);
	if (skf_fmt(out, size, "%s", arg0) < 0)
		return exec_error("(too long)", ENAMETOOLONG, e);
	r = check_executable(out);
	return r < 0 ? exec_error(arg0, -r, e) : 0;
}

/* "#!/bin/sh -e": the interpreter into out. */
static bool script_interpreter(const char *head, size_t n, char *out, size_t size)
{
	size_t i = 2, start;

	if (n < 3 || head[0] != '#' || head[1] != '!')
		return false;
	while (i < n && (head[i] == ' ' || head[i] == '\t'))
		i++;
	start = i;
	while (i < n && head[i] != '\0' && !isspace((unsigned char)head[i]))
		i++;
	if (i == start || i - start >= size)
		return false;
	memcpy(out, head + start, i - start);
	out[i - start] = '\0';
	return true;
}

/* PT_INTERP of a 64-bit ELF file of this byte order. */
static bool elf_interpreter(int fd, const char *head, size_t n, char *out, size_t size)
{
	Elf64_Ehdr eh;
	Elf64_Phdr ph;

	if (n < sizeof(eh) || memcmp(head, ELFMAG, SELFMAG) != 0 || head[EI_CLASS] != ELFCLASS64)
		return false;
	memcpy(&eh, head, sizeof(eh));
	if (eh.e_phentsize != sizeof(ph) || eh.e_phnum > 128)
		return false;
	for (unsigned i = 0; i < eh.e_phnum; i++) {
		ssize_t got;

		if (pread(fd, &ph, sizeof(ph), (off_t)(eh.e_phoff + i * sizeof(ph))) != (ssize_t)sizeof(ph))
			return false;
		if (ph.p_type != PT_INTERP)
			continue;
		if (ph.p_filesz == 0 || ph.p_filesz > size)
			return false;
		got = pread(fd, out, ph.p_filesz, (off_t)ph.p_offset);
		return got == (ssize_t)ph.p_filesz && out[got - 1] == '\0';
	}
	return false;
}

int skf_exec_failed(const char *arg0, const char *path, int err, struct skf_err *e)
{
	char head[256], interp[256];
	ssize_t n;

	if (err == ENOEXEC)
		return skf_fail(e, SKF_ECMD_NOTEXEC, "exec: \"%s\": exec format error", arg0);
	if (err != ENOENT && err != ELOOP && err != EACCES)
		return exec_error(arg0, err, e);

	/* the file was there a moment ago: then it is its interpreter that is not */
	SKF_AUTO_FD int fd = skf_openat(AT_FDCWD, path, O_RDONLY | O_NONBLOCK, 0);
	n = fd < 0 ? -1 : pread(fd, head, sizeof(head), 0);
	if (n > 0 && (script_interpreter(head, (size_t)n, interp, sizeof(interp)) ||
		      elf_interpreter(fd, head, (size_t)n, interp, sizeof(interp)))) {
		if (err == ENOENT)
			return skf_fail(
				e, SKF_ECMD_NOTFOUND,
				"exec %s: no such file or directory (its interpreter '%s' is missing)", arg0,
				interp);
		return skf_fail(e, SKF_ECMD_NOTEXEC, "exec: \"%s\": its interpreter '%s': %s", arg0, interp,
				err == EACCES ? "permission denied" : strerror(err));
	}
	return exec_error(arg0, err, e);
}
