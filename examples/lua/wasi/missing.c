// What Lua calls and WASI's C library lacks: there are no commands to run and
// no temporary files. Both fail as the C standard says they may.
#include <errno.h>
#include <stddef.h>
#include <stdio.h>

int system(const char *command) {
	if (command == NULL)
		return 0;
	errno = ENOSYS;
	return -1;
}

FILE *tmpfile(void) {
	errno = ENOSYS;
	return NULL;
}
