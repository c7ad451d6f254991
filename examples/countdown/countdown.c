// Sleeps, step by step, and says so. It checks that no sleep was shorter than
// it asked for, by a clock that never goes back: also when the machine that it
// runs on went away in the middle of a sleep.
//
//	countdown [steps [milliseconds [exit-code]]]
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { TOO_SHORT = 98, USAGE = 2 };

static const long million = 1000000;

static long number(int argc, char **argv, int i, long otherwise) {
	if (i >= argc)
		return otherwise;
	char *end;
	long n = strtol(argv[i], &end, 10);
	if (*end || end == argv[i] || n < 0 || n > million) {
		fprintf(stderr, "countdown: %s is not a number from 0 to %ld\n", argv[i], million);
		exit(USAGE);
	}
	return n;
}

static struct timespec now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t;
}

static struct timespec later(struct timespec t, long milliseconds) {
	t.tv_sec += milliseconds / 1000;
	t.tv_nsec += milliseconds % 1000 * million;
	if (t.tv_nsec >= 1000 * million) {
		t.tv_sec++;
		t.tv_nsec -= 1000 * million;
	}
	return t;
}

static int before(struct timespec a, struct timespec b) {
	return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}

int main(int argc, char **argv) {
	long steps = number(argc, argv, 1, 100);
	long milliseconds = number(argc, argv, 2, 40);
	long code = number(argc, argv, 3, 0);
	setvbuf(stdout, NULL, _IOLBF, 256);

	for (long left = steps; left > 0; left--) {
		printf("%ld\n", left);
		struct timespec until = later(now(), milliseconds);
		int failed;
		if (left % 2) {
			// What nanosleep does: so many milliseconds from now.
			struct timespec length = later((struct timespec){0}, milliseconds);
			failed = nanosleep(&length, NULL) ? errno : 0;
		} else {
			// Until a moment of the clock.
			failed = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
		}
		if (failed) {
			fprintf(stderr, "countdown: sleeping failed with errno %d\n", failed);
			return TOO_SHORT;
		}
		if (before(now(), until)) {
			fprintf(stderr, "countdown: the sleep at %ld was too short\n", left);
			return TOO_SHORT;
		}
		if ((left - 1) % 10 == 0)
			fprintf(stderr, "countdown: %ld of %ld steps left\n", left - 1, steps);
	}
	printf("lift-off\n");
	return (int)code;
}
