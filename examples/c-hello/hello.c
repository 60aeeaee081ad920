/* An HTTP server for one request at a time, on the unix socket that BERTH_SOCKET names. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MOST = 64 * 1024 };

/* Reads head and body; 0 when the connection ends before there is all of it. */
static int read_request(int fd, char *buffer, char **body) {
	size_t have = 0;
	for (;;) {
		ssize_t got = read(fd, buffer + have, MOST - have);
		if (got <= 0) return 0;
		have += (size_t)got;
		buffer[have] = 0;
		char *end = strstr(buffer, "\r\n\r\n");
		if (end == NULL) continue;
		*body = end + 4;
		char *length = strcasestr(buffer, "\r\ncontent-length:");
		size_t wanted = length != NULL && length < end ? strtoul(length + 17, NULL, 10) : 0;
		if (have - (size_t)(*body - buffer) >= wanted) return 1;
	}
}

static void answer(int fd) {
	static char buffer[MOST + 1];
	char *body, text[256], head[256], name[64] = "world";
	if (!read_request(fd, buffer, &body)) return;
	char *field = strstr(body, "\"name\"");
	if (field != NULL) sscanf(field, "\"name\" : \"%63[^\"\\]", name);
	int length = snprintf(text, sizeof text, "{\"hello\":\"%s\"}", name);
	int bytes = snprintf(head, sizeof head,
		"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", length);
	if (write(fd, head, (size_t)bytes) < 0 || write(fd, text, (size_t)length) < 0) perror("write");
}

int main(void) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = getenv("BERTH_SOCKET");
	int server = socket(AF_UNIX, SOCK_STREAM, 0);
	if (path == NULL || strlen(path) >= sizeof address.sun_path) return 2;
	strcpy(address.sun_path, path);
	if (bind(server, (struct sockaddr *)&address, sizeof address) < 0 || listen(server, 8) < 0) return perror("listen"), 1;
	for (;;) {
		int fd = accept(server, NULL, NULL);
		if (fd < 0) return perror("accept"), 1;
		answer(fd);
		close(fd);
	}
}
