// Waits for input and for the clock at once, again and again, and prints its
// input in lines of eight bytes. How often the clock came first is nobody's
// business: what it prints depends on the input alone.
//
//	patient [milliseconds]
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <wasi/api.h>

int main(int argc, char **argv) {
	__wasi_timestamp_t patience = (argc > 1 ? atoi(argv[1]) : 1) * 1000000ull;
	__wasi_subscription_t waits[2] = {
		{.userdata = 1, .u.tag = __WASI_EVENTTYPE_FD_READ},
		{.userdata = 2, .u.tag = __WASI_EVENTTYPE_CLOCK},
	};
	waits[0].u.u.fd_read.file_descriptor = STDIN_FILENO;
	waits[1].u.u.clock.id = __WASI_CLOCKID_MONOTONIC;
	waits[1].u.u.clock.timeout = patience;
	char line[8];
	size_t filled = 0;
	setvbuf(stdout, NULL, _IOLBF, 512);
	for (;;) {
		__wasi_event_t events[2];
		__wasi_size_t n;
		if (__wasi_poll_oneoff(waits, events, 2, &n) || n < 1)
			return 90;
		int readable = 0;
		for (__wasi_size_t i = 0; i < n; i++) {
			if (events[i].error)
				return 91;
			readable |= events[i].userdata == 1;
		}
		if (!readable)
			continue;
		ssize_t got = read(STDIN_FILENO, line + filled, sizeof line - filled);
		if (got < 0)
			return 92;
		filled += got;
		if (filled == sizeof line || (got == 0 && filled > 0)) {
			for (size_t i = 0; i < filled; i++)
				printf("%02x", (unsigned char)line[i]);
			printf("\n");
			filled = 0;
		}
		if (got == 0)
			break;
	}
	printf("end\n");
	return 0;
}
