// A command that goes through what a C library asks of its host, and prints what
// it finds: the same whatever the host is, if it is right. What differs from run
// to run, such as times, is judged here.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *why(int failed) { return failed < 0 ? strerror(errno) : "ok"; }

static void show(const char *path) {
	struct stat st;
	if (lstat(path, &st) < 0) {
		printf("%s: %s\n", path, strerror(errno));
		return;
	}
	const char *type = S_ISDIR(st.st_mode) ? "directory" : S_ISREG(st.st_mode) ? "file" : S_ISLNK(st.st_mode) ? "link" : "other";
	printf("%s: %s", path, type);
	if (!S_ISDIR(st.st_mode))
		printf(", %lld bytes, %d names", (long long)st.st_size, (int)st.st_nlink);
	printf("\n");
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void list(const char *path) {
	DIR *d = opendir(path);
	if (!d) {
		printf("list %s: %s\n", path, strerror(errno));
		return;
	}
	char *names[100];
	int n = 0;
	for (struct dirent *e; n < 100 && (e = readdir(d));)
		names[n++] = strdup(e->d_name);
	closedir(d);
	qsort(names, n, sizeof *names, by_name);
	printf("list %s:", path);
	for (int i = 0; i < n; i++)
		printf(" %s", names[i]);
	printf("\n");
}

static void contents(void) {
	int fd = open("/posix/file", O_RDWR | O_CREAT | O_EXCL, 0666);
	printf("create: %s\n", why(fd));
	printf("write: %zd\n", write(fd, "hello world", 11));
	printf("again: %s\n", why(open("/posix/file", O_RDWR | O_CREAT | O_EXCL, 0666)));
	printf("pwrite: %zd\n", pwrite(fd, "W", 1, 6));
	char b[100] = "";
	printf("pread: %zd %s\n", pread(fd, b, 99, 4), b);
	printf("position: %lld\n", (long long)lseek(fd, 0, SEEK_CUR));
	printf("seek: %lld\n", (long long)lseek(fd, -3, SEEK_END));
	memset(b, 0, sizeof b);
	printf("read: %zd %s\n", read(fd, b, 99), b);
	printf("end: %zd\n", read(fd, b, 99));
	// Reading goes on when there is more.
	int other = open("/posix/file", O_WRONLY | O_APPEND);
	printf("append: %zd\n", write(other, "!!", 2));
	printf("read only: %s\n", why(read(other, b, 1)));
	close(other);
	lseek(fd, 0, SEEK_CUR);
	memset(b, 0, sizeof b);
	printf("more: %zd %s\n", read(fd, b, 99), b);
	printf("truncate: %s\n", why(ftruncate(fd, 5)));
	printf("grow: %s\n", why(ftruncate(fd, 8)));
	memset(b, 'x', sizeof b);
	printf("zeros: %zd", pread(fd, b, 99, 4));
	for (int i = 0; i < 4; i++)
		printf(" %d", b[i]);
	printf("\nsync: %s\n", why(fsync(fd)));
	other = open("/posix/file", O_RDONLY);
	printf("write to what is read: %s\n", why(write(other, "x", 1)));
	printf("truncate what is read: %s\n", why(ftruncate(other, 1)));
	struct stat a, c;
	fstat(fd, &a), fstat(other, &c);
	printf("the same: %d\n", a.st_ino == c.st_ino && a.st_dev == c.st_dev);
	struct timespec t[2] = {{1000, 1}, {2000, 999999999}};
	printf("times: %s\n", why(futimens(fd, t)));
	fstat(fd, &a);
	printf("%lld.%09ld %lld.%09ld\n", (long long)a.st_atim.tv_sec, a.st_atim.tv_nsec, (long long)a.st_mtim.tv_sec, a.st_mtim.tv_nsec);
	close(other), close(fd);
}

static void paths(void) {
	printf("mkdir: %s\n", why(mkdir("/posix/d", 0777)));
	printf("mkdir: %s\n", why(mkdir("/posix/d", 0777)));
	printf("mkdir below a file: %s\n", why(mkdir("/posix/file/d", 0777)));
	printf("link: %s\n", why(link("/posix/file", "/posix/d/hard")));
	printf("symlink: %s\n", why(symlink("../file", "/posix/d/soft")));
	printf("symlink out: %s\n", why(symlink("/etc/passwd", "/posix/d/out")));
	printf("loop: %s\n", why(symlink("loop", "/posix/d/loop")));
	char b[100] = "";
	printf("readlink: %zd %s\n", readlink("/posix/d/soft", b, 99), b);
	show("/posix/d"), show("/posix/d/hard"), show("/posix/d/soft"), show("/posix/none");
	list("/posix/d"), list("/posix/file"), list("/posix/none");
	printf("open the link: %s\n", why(open("/posix/d/soft", O_RDONLY)));
	printf("not the link: %s\n", why(open("/posix/d/soft", O_RDONLY | O_NOFOLLOW)));
	printf("open the loop: %s\n", why(open("/posix/d/loop", O_RDONLY)));
	printf("open a directory: %s\n", why(open("/posix/d", O_RDONLY | O_DIRECTORY)));
	printf("write a directory: %s\n", why(open("/posix/d", O_WRONLY)));
	printf("file as directory: %s\n", why(open("/posix/file", O_RDONLY | O_DIRECTORY)));
	printf("rename: %s\n", why(rename("/posix/d/hard", "/posix/moved")));
	printf("onto a directory: %s\n", why(rename("/posix/moved", "/posix/d")));
	printf("into itself: %s\n", why(rename("/posix/d", "/posix/d/e")));
	printf("rmdir: %s\n", why(rmdir("/posix/d")));
	printf("rmdir a file: %s\n", why(rmdir("/posix/moved")));
	printf("unlink a directory: %d\n", unlink("/posix/d") < 0 && (errno == EISDIR || errno == EPERM));
	printf("unlink: %s %s %s\n", why(unlink("/posix/d/soft")), why(unlink("/posix/d/loop")), why(unlink("/posix/moved")));
	printf("unlink: %s\n", why(unlink("/posix/moved")));
	list("/posix/d");
	printf("rmdir: %s\n", why(rmdir("/posix/d")));
	char name[300];
	memset(name, 'n', 299), name[299] = 0;
	printf("long name: %s\n", why(chdir("/posix") < 0 ? -1 : open(name, O_CREAT | O_RDWR, 0666)));
	printf("above: %s\n", why(open("/../etc/passwd", O_RDONLY)));
}

static void streams(void) {
	char b[100];
	while (fgets(b, sizeof b, stdin))
		printf("in: %s", b);
	printf("end of input: %d\n", feof(stdin) != 0);
	FILE *f = fopen("/posix/big", "w+");
	for (int i = 0; i < 100000; i++)
		fprintf(f, "%06d\n", i);
	long sum = 0, n = 0;
	rewind(f);
	for (int v; fscanf(f, "%d\n", &v) == 1; n++)
		sum += v;
	printf("%ld lines, sum %ld\n", n, sum);
	fclose(f);
	show("/posix/big");
	unlink("/posix/big");
	fprintf(stderr, "to stderr\n");
	printf("terminals: %d %d %d\n", isatty(0), isatty(1), isatty(2));
}

static long long now(clockid_t clock) {
	struct timespec t;
	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void times(void) {
	long long from = now(CLOCK_MONOTONIC);
	usleep(20000);
	long long slept = now(CLOCK_MONOTONIC) - from;
	printf("slept: %d\n", slept >= 20000000 && slept < 5000000000);
	struct pollfd out = {.fd = 1, .events = POLLOUT};
	printf("poll output: %d %d\n", poll(&out, 1, 1000), out.revents == POLLOUT);
	from = now(CLOCK_MONOTONIC);
	printf("poll nothing: %d %d\n", poll(0, 0, 20), now(CLOCK_MONOTONIC) - from >= 20000000);
	printf("the year: %d\n", now(CLOCK_REALTIME) / 1000000000 > 1700000000);
	unsigned char a[64] = {0}, b[64] = {0};
	printf("random: %d", getentropy(a, 64) == 0 && getentropy(b, 64) == 0);
	printf(" %d\n", memcmp(a, b, 64) != 0);
}

int main(int argc, char **argv) {
	for (int i = 0; i < argc; i++)
		printf("argument %d: %s\n", i, argv[i]);
	printf("variables: %s %s\n", getenv("POSIX"), getenv("NONE") ? "there" : "not there");
	printf("mkdir: %s\n", why(mkdir("/posix", 0777)));
	contents();
	paths();
	streams();
	times();
	printf("left: %s %s\n", why(unlink("/posix/file")), why(rmdir("/posix")));
	return 1;
}
