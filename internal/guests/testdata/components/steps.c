// The world of steps.wit. Its functions take and give numbers alone, so that
// their core functions are what C makes of them.
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define EXPORT(name) __attribute__((export_name(name)))

static FILE *file;
static DIR *root;
static uint32_t lines;

EXPORT("open") int open_all(void) {
	file = fopen("/steps.txt", "w+");
	root = opendir("/");
	return file && root;
}

EXPORT("append") uint32_t append(uint32_t n) {
	fseek(file, 0, SEEK_END);
	fprintf(file, "%u\n", n);
	fflush(file);
	printf("line %u\n", n);
	fflush(stdout);
	return ++lines;
}

EXPORT("entries") uint32_t entries(uint32_t most) {
	uint32_t n = 0;
	while (n < most && readdir(root))
		n++;
	return n;
}

EXPORT("sum") uint32_t sum(void) {
	uint32_t total = 0, n;
	rewind(file);
	while (fscanf(file, "%u\n", &n) == 1)
		total += n;
	return total;
}

static uint64_t now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

EXPORT("nap") uint64_t nap(uint32_t milliseconds) {
	uint64_t from = now();
	usleep(milliseconds * 1000);
	return now() - from;
}

EXPORT("close") int close_all(void) { return fclose(file) == 0 && closedir(root) == 0; }
