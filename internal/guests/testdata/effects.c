// Has every kind of effect that WASI 0.1 offers, each once or twice, and
// prints what it got: what it prints is a function of the answers of the host
// and of nothing else. It takes a few milliseconds, so that tests can run it
// once for each of its effects.
//
//	effects [exit-code]
//
// It reads stdin to the end and works in a directory "effects" below the first
// preopened directory, which it leaves with files in it. It exits with code 99
// if an answer breaks the specification.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wasi/api.h>

enum { ROOT = 3 }; // the first preopened directory

#define MUST(what, condition)                                          \
	do {                                                               \
		if (!(condition)) {                                            \
			printf("broken: %s (line %d, errno %d)\n", what, __LINE__, errno); \
			exit(99);                                                  \
		}                                                              \
	} while (0)

#define OK(call) MUST(#call, (call) == 0)

static uint64_t clock_now(__wasi_clockid_t id) {
	__wasi_timestamp_t now;
	OK(__wasi_clock_time_get(id, 1, &now));
	return now;
}

static void arguments_and_environment(int argc, char **argv) {
	for (int i = 0; i < argc; i++)
		printf("argument %d: %s\n", i, argv[i]);
	extern char **environ;
	for (char **e = environ; e && *e; e++)
		printf("environment: %s\n", *e);
}

static void clocks(void) {
	__wasi_timestamp_t resolution;
	OK(__wasi_clock_res_get(__WASI_CLOCKID_MONOTONIC, &resolution));
	MUST("a clock has a resolution", resolution > 0);
	uint64_t last = 0;
	for (int i = 0; i < 3; i++) {
		uint64_t now = clock_now(__WASI_CLOCKID_MONOTONIC);
		MUST("the monotonic clock never goes back", now >= last);
		last = now;
		printf("clocks %d: %llu %llu\n", i, now, clock_now(__WASI_CLOCKID_REALTIME));
	}
}

static void randomness(void) {
	for (int size = 1; size <= 64; size *= 8) {
		uint8_t bytes[64];
		OK(__wasi_random_get(bytes, size));
		printf("random: ");
		for (int i = 0; i < size; i++)
			printf("%02x", bytes[i]);
		printf("\n");
	}
}

// Sleeps by the relative and by the absolute clock, and once by a poll with
// two clocks and a stream of which one is ready at once.
static void sleeps(void) {
	__wasi_size_t n;
	__wasi_event_t events[3];
	__wasi_subscription_t sleep = {.userdata = 11, .u.tag = __WASI_EVENTTYPE_CLOCK};
	sleep.u.u.clock.id = __WASI_CLOCKID_MONOTONIC;
	sleep.u.u.clock.timeout = 1000000;

	uint64_t before = clock_now(__WASI_CLOCKID_MONOTONIC);
	OK(__wasi_poll_oneoff(&sleep, events, 1, &n));
	uint64_t after = clock_now(__WASI_CLOCKID_MONOTONIC);
	MUST("a sleep has one event", n == 1 && events[0].userdata == 11 && events[0].error == 0);
	MUST("a sleep takes its time", after - before >= 1000000);
	printf("slept until %llu\n", after);

	sleep.u.u.clock.timeout = after + 1000000;
	sleep.u.u.clock.flags = __WASI_SUBCLOCKFLAGS_SUBSCRIPTION_CLOCK_ABSTIME;
	OK(__wasi_poll_oneoff(&sleep, events, 1, &n));
	MUST("an absolute sleep ends after its time", clock_now(__WASI_CLOCKID_MONOTONIC) >= after + 1000000);

	__wasi_subscription_t several[3] = {sleep, sleep, {.userdata = 33, .u.tag = __WASI_EVENTTYPE_FD_WRITE}};
	several[0].u.u.clock.timeout = 3600000000000;
	several[0].u.u.clock.flags = 0;
	several[1].userdata = 22; // its absolute time is in the past
	several[2].u.u.fd_write.file_descriptor = STDOUT_FILENO;
	OK(__wasi_poll_oneoff(several, events, 3, &n));
	MUST("what is ready ends a poll", n >= 1 && n <= 2);
	for (unsigned i = 0; i < n; i++)
		printf("ready: %llu\n", events[i].userdata);
	OK(__wasi_sched_yield());
}

static void standard_input(void) {
	char chunk[16];
	ssize_t n;
	while ((n = read(STDIN_FILENO, chunk, sizeof chunk)) > 0) {
		printf("stdin %d:", (int)n);
		for (ssize_t i = 0; i < n; i++)
			printf(" %02x", (unsigned char)chunk[i]);
		printf("\n");
	}
	MUST("stdin ends", n == 0);
}

static void print_file(const char *path) {
	char text[256];
	int fd = open(path, O_RDONLY);
	MUST(path, fd >= 0);
	ssize_t n = read(fd, text, sizeof text - 1);
	MUST(path, n >= 0);
	OK(close(fd));
	text[n] = 0;
	for (char *end; (end = strchr(text, '\n'));)
		*end = '|';
	printf("file %s: %s\n", path, text);
}

static int by_name(const struct dirent **a, const struct dirent **b) {
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void print_directory(const char *path) {
	struct dirent **entries;
	int n = scandir(path, &entries, NULL, by_name);
	MUST(path, n >= 0);
	printf("directory %s:", path);
	for (int i = 0; i < n; i++) {
		if (strcmp(entries[i]->d_name, ".") && strcmp(entries[i]->d_name, ".."))
			printf(" %s%s", entries[i]->d_name, entries[i]->d_type == DT_DIR ? "/" : entries[i]->d_type == DT_LNK ? "@" : "");
		free(entries[i]);
	}
	free(entries);
	printf("\n");
}

static void file_contents(void) {
	int fd = open("effects/a", O_RDWR | O_CREAT | O_TRUNC, 0666);
	MUST("open", fd >= 0);
	MUST("write", write(fd, "0123456789\n", 11) == 11);
	MUST("pwrite", pwrite(fd, "AB", 2, 3) == 2);
	char two[2];
	MUST("pread", pread(fd, two, 2, 4) == 2 && two[0] == 'B' && two[1] == '5');
	MUST("seek", lseek(fd, -2, SEEK_END) == 9);
	__wasi_filesize_t offset;
	OK(__wasi_fd_tell(fd, &offset));
	MUST("tell", offset == 9);
	MUST("write at the offset", write(fd, "!\nmore\n", 7) == 7);
	OK(__wasi_fd_advise(fd, 0, 0, __WASI_ADVICE_SEQUENTIAL));
	OK(fdatasync(fd));
	OK(fsync(fd));
	OK(close(fd));
	print_file("effects/a");

	fd = open("effects/a", O_WRONLY | O_APPEND);
	MUST("open to append", fd >= 0);
	lseek(fd, 0, SEEK_SET);
	MUST("append", write(fd, "appended\n", 9) == 9);
	OK(__wasi_fd_fdstat_set_flags(fd, 0));
	MUST("no longer append", lseek(fd, 0, SEEK_SET) == 0 && write(fd, "Z", 1) == 1);
	OK(ftruncate(fd, 20));
	struct stat status;
	OK(fstat(fd, &status));
	MUST("a truncated file has its size", status.st_size == 20);
	OK(close(fd));
	print_file("effects/a");
}

static void file_names(void) {
	OK(mkdir("effects/d", 0777));
	OK(mkdir("effects/d/e", 0777));
	OK(link("effects/a", "effects/d/linked"));
	OK(symlink("d/linked", "effects/soft"));
	char target[32];
	ssize_t n = readlink("effects/soft", target, sizeof target);
	MUST("readlink", n == 8 && memcmp(target, "d/linked", 8) == 0);
	struct stat hard, soft;
	OK(stat("effects/soft", &hard));
	OK(lstat("effects/soft", &soft));
	MUST("stat follows a link and lstat does not", S_ISREG(hard.st_mode) && S_ISLNK(soft.st_mode));
	MUST("a hard link is the same file", hard.st_nlink == 2 && hard.st_size == 20);
	print_directory("effects");
	print_directory("effects/d");

	OK(rename("effects/d/linked", "effects/d/e/moved"));
	MUST("a dangling link leads nowhere", open("effects/soft", O_RDONLY) < 0 && errno == ENOENT);
	OK(rename("effects/d", "effects/renamed"));
	MUST("a full directory stays", rmdir("effects/renamed") < 0 && errno == ENOTEMPTY);
	OK(unlink("effects/soft"));
	OK(unlink("effects/a"));
	print_file("effects/renamed/e/moved");
	MUST("nothing leads out", open("effects/../../etc/passwd", O_RDONLY) < 0);
	print_directory("effects/renamed/e");
}

static void file_times(void) {
	OK(__wasi_path_filestat_set_times(ROOT, 0, "effects/renamed/e/moved", 1000000007, 2000000014,
		__WASI_FSTFLAGS_ATIM | __WASI_FSTFLAGS_MTIM));
	struct stat status;
	OK(stat("effects/renamed/e/moved", &status));
	printf("times set: %lld.%09ld\n", (long long)status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
	int fd = open("effects/renamed/e/moved", O_RDWR);
	MUST("open", fd >= 0);
	OK(__wasi_fd_filestat_set_times(fd, 0, 0, __WASI_FSTFLAGS_ATIM_NOW | __WASI_FSTFLAGS_MTIM_NOW));
	OK(fstat(fd, &status));
	printf("times now: %lld.%09ld\n", (long long)status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
	OK(close(fd));
}

static void descriptors(void) {
	int from = open("effects/one", O_RDWR | O_CREAT | O_EXCL, 0666);
	int to = open("effects/two", O_RDWR | O_CREAT | O_EXCL, 0666);
	MUST("open", from >= 0 && to >= 0);
	MUST("a file is made once", open("effects/two", O_RDWR | O_CREAT | O_EXCL, 0666) < 0 && errno == EEXIST);
	OK(__wasi_fd_renumber(from, to));
	MUST("a renumbered descriptor is gone", write(from, "?", 1) < 0 && errno == EBADF);
	MUST("write", write(to, "into one\n", 9) == 9);
	OK(close(to));
	print_file("effects/one");
	print_file("effects/two");
	__wasi_fdstat_t status;
	OK(__wasi_fd_fdstat_get(ROOT, &status));
	MUST("the root is a directory", status.fs_filetype == __WASI_FILETYPE_DIRECTORY);
}

int main(int argc, char **argv) {
	setvbuf(stdout, NULL, _IOLBF, 512);
	arguments_and_environment(argc, argv);
	clocks();
	randomness();
	standard_input();
	MUST("mkdir", mkdir("effects", 0777) == 0);
	file_contents();
	sleeps();
	file_names();
	file_times();
	descriptors();
	clocks();
	print_directory("effects");
	fprintf(stderr, "effects: done\n");
	return argc > 1 ? atoi(argv[1]) : 0;
}
