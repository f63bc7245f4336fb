/* tests/network/netprobe.c -- the one program that test containers and test hosts run: a server that answers
 * every client with the address that it sees, and its client. Static, so that it runs in any image.
 *
 *     netprobe serve PROTO PORT [WORD]      tcp, udp or sctp, both families; answers "<peer address>
 * <WORD>\n" netprobe ask PROTO ADDRESS PORT       prints the answer; status 1 refused or unreachable, 2 no
 * answer within 2 s; fe80::1%eth0 has a zone netprobe shout INTERFACE WORD         a frame of an
 * experimental type (no IP) to everybody on the link netprobe hear INTERFACE SECONDS       prints "ready",
 * then the word of the first such frame; status 2 without one netprobe say-udp ADDRESS PORT one
 * datagram, to a broadcast or multicast address too netprobe hear-udp PORT SECONDS        prints "ready",
 * then the address of who sent the first datagram, also to the group 224.0.0.251; status 2 without one */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int kind(const char *proto, int *type)
{
	*type = strcmp(proto, "udp") ? SOCK_STREAM : SOCK_DGRAM;
	return strcmp(proto, "sctp") ? 0 : IPPROTO_SCTP;
}

static void text_of(const struct sockaddr_storage *s, char *out)
{
	const struct sockaddr_in6 *a6 = (const void *)s;
	const struct sockaddr_in *a4 = (const void *)s;

	if (s->ss_family == AF_INET)
		inet_ntop(AF_INET, &a4->sin_addr, out, INET6_ADDRSTRLEN);
	else if (IN6_IS_ADDR_V4MAPPED(&a6->sin6_addr))
		inet_ntop(AF_INET, &a6->sin6_addr.s6_addr[12], out, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, &a6->sin6_addr, out, INET6_ADDRSTRLEN);
}

static int serve(const char *proto, int port, const char *word)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((unsigned short)port)};
	int type, p = kind(proto, &type), on = 1, fd = socket(AF_INET6, type, p);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, (void *)&any, sizeof(any)) < 0 ||
	    (type == SOCK_STREAM && listen(fd, 64) < 0)) {
		perror("netprobe");
		return 1;
	}
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		struct sockaddr_storage peer;
		socklen_t len = sizeof(peer);
		char in[64], addr[INET6_ADDRSTRLEN], out[256];
		int c = fd;

		if (type == SOCK_STREAM)
			c = accept(fd, (void *)&peer, &len);
		else if (recvfrom(fd, in, sizeof(in), 0, (void *)&peer, &len) < 0)
			continue;
		if (c < 0)
			continue;
		text_of(&peer, addr);
		snprintf(out, sizeof(out), "%s %s\n", addr, word);
		sendto(c, out, strlen(out), MSG_NOSIGNAL, type == SOCK_STREAM ? NULL : (void *)&peer,
		       type == SOCK_STREAM ? 0 : len);
		if (c != fd)
			close(c);
	}
}

static int ask(const char *proto, char *address, int port)
{
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons((unsigned short)port)};
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
	int v6 = strchr(address, ':') != NULL, type, p = kind(proto, &type),
	    fd = socket(v6 ? AF_INET6 : AF_INET, type | SOCK_NONBLOCK, p), err = 0;
	socklen_t len = sizeof(err);
	struct pollfd w = {.fd = fd, .events = POLLOUT};
	char in[256];
	ssize_t n;

	if (v6 && strchr(address, '%')) {
		a6.sin6_scope_id = if_nametoindex(strchr(address, '%') + 1);
		*strchr(address, '%') = '\0';
	}
	inet_pton(v6 ? AF_INET6 : AF_INET, address, v6 ? (void *)&a6.sin6_addr : (void *)&a4.sin_addr);
	if (connect(fd, v6 ? (void *)&a6 : (void *)&a4, v6 ? sizeof(a6) : sizeof(a4)) < 0 &&
	    errno != EINPROGRESS) {
		perror("connect");
		return 1;
	}
	if (poll(&w, 1, 2000) <= 0)
		return 2;
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	if (err) {
		fprintf(stderr, "connect: %s\n", strerror(err));
		return 1;
	}
	if (type == SOCK_DGRAM && send(fd, "x", 1, 0) < 0)
		return 1;
	w.events = POLLIN;
	if (poll(&w, 1, 2000) <= 0)
		return 2;
	n = recv(fd, in, sizeof(in), 0);
	if (n <= 0)
		return 1;
	fwrite(in, 1, (size_t)n, stdout);
	return 0;
}

#define FRAME_TYPE 0x88b5 /* IEEE 802: local experimental */

static int frames(const char *interface, struct sockaddr_ll *ll)
{
	int fd = socket(AF_PACKET, SOCK_DGRAM, htons(FRAME_TYPE));

	*ll = (struct sockaddr_ll){.sll_family = AF_PACKET,
				   .sll_protocol = htons(FRAME_TYPE),
				   .sll_ifindex = (int)if_nametoindex(interface),
				   .sll_halen = 6,
				   .sll_addr = {255, 255, 255, 255, 255, 255}};
	if (fd < 0 || bind(fd, (void *)ll, sizeof(*ll)) < 0) {
		perror("netprobe");
		exit(1);
	}
	return fd;
}

static int shout(const char *interface, const char *word)
{
	struct sockaddr_ll ll;
	int fd = frames(interface, &ll);

	return sendto(fd, word, strlen(word), 0, (void *)&ll, sizeof(ll)) < 0;
}

static int hear(const char *interface, int seconds)
{
	struct sockaddr_ll ll;
	struct pollfd w = {.fd = frames(interface, &ll), .events = POLLIN};
	char in[2048] = "";

	printf("ready\n");
	fflush(stdout);
	if (poll(&w, 1, seconds * 1000) <= 0 || recv(w.fd, in, sizeof(in) - 1, 0) < 0)
		return 2;
	return puts(in) < 0;
}

static int say_udp(const char *address, int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
	int fd = socket(AF_INET, SOCK_DGRAM, 0), on = 1;

	inet_pton(AF_INET, address, &a.sin_addr);
	setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on));
	return sendto(fd, "x", 1, 0, (void *)&a, sizeof(a)) < 0;
}

static int hear_udp(int port, int seconds)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
	struct ip_mreqn group = {.imr_ifindex = (int)if_nametoindex("eth0")};
	struct pollfd w = {.fd = socket(AF_INET, SOCK_DGRAM, 0), .events = POLLIN};
	struct sockaddr_storage from = {0};
	socklen_t len = sizeof(from);
	char buf[64], text[INET6_ADDRSTRLEN] = "";

	inet_pton(AF_INET, "224.0.0.251", &group.imr_multiaddr);
	if (bind(w.fd, (void *)&a, sizeof(a)) < 0 ||
	    setsockopt(w.fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group)) < 0) {
		perror("netprobe");
		return 1;
	}
	printf("ready\n");
	fflush(stdout);
	if (poll(&w, 1, seconds * 1000) <= 0 || recvfrom(w.fd, buf, sizeof(buf), 0, (void *)&from, &len) < 0)
		return 2;
	text_of(&from, text);
	return puts(text) < 0;
}

int main(int argc, char **argv)
{
	if (argc >= 4 && !strcmp(argv[1], "serve"))
		return serve(argv[2], atoi(argv[3]), argc > 4 ? argv[4] : "-");
	if (argc == 5 && !strcmp(argv[1], "ask"))
		return ask(argv[2], argv[3], atoi(argv[4]));
	if (argc == 4 && !strcmp(argv[1], "shout"))
		return shout(argv[2], argv[3]);
	if (argc == 4 && !strcmp(argv[1], "hear"))
		return hear(argv[2], atoi(argv[3]));
	if (argc == 4 && !strcmp(argv[1], "say-udp"))
		return say_udp(argv[2], atoi(argv[3]));
	if (argc == 4 && !strcmp(argv[1], "hear-udp"))
		return hear_udp(atoi(argv[2]), atoi(argv[3]));
	return 64;
}
