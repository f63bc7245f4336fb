/* bench/bare.c -- a process that is moved into a new v1 memory cgroup of `bytes` and executes a program:
 * what no runtime can go below.
 *
 * Usage: bare CGROUP BYTES PROGRAM. Exit status 0 when the program ran; the cgroup is removed again. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int put(const char *dir, const char *file, const char *value)
{
	char path[512];
	int fd, r;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_WRONLY);
	r = fd < 0 ? -1 : (int)write(fd, value, strlen(value));
	if (fd >= 0)
		close(fd);
	return r < 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
	char dir[256], pid_text[16], go;
	int gate[2], status = 1;
	pid_t pid;

	if (argc != 4 || pipe(gate) < 0)
		return 2;
	snprintf(dir, sizeof(dir), "/sys/fs/cgroup/memory/%s", argv[1]);
	if (mkdir(dir, 0755) < 0)
		return 2;
	pid = fork();
	if (pid == 0) {
		close(gate[1]);
		if (read(gate[0], &go, 1) == 1)
			execve(argv[3], (char *[]){argv[3], NULL}, (char *[]){NULL});
		_exit(9);
	}
	snprintf(pid_text, sizeof(pid_text), "%d", (int)pid);
	if (put(dir, "memory.limit_in_bytes", argv[2]) == 0 && put(dir, "cgroup.procs", pid_text) == 0 &&
	    write(gate[1], "x", 1) != 1)
		status = 2;
	close(gate[1]);
	if (waitpid(pid, &status, 0) != pid)
		status = 2;
	rmdir(dir);
	return status != 0;
}
