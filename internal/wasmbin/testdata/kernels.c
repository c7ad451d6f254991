// Kernels for comparing rewritten code with the original: each export computes
// something small in a way that compilers and programs do, and returns a digest.
// Build: clang --target=wasm32 -O2 -nostdlib -mbulk-memory -Wl,--no-entry

typedef unsigned int u32;
typedef unsigned char u8;
#define EXPORT(name) __attribute__((export_name(#name))) u32 name

static u8 flags[1 << 20];

EXPORT(sieve)(u32 n) {
	u32 t = 0, N = sizeof flags;
	for (u32 k = 0; k < n; k++) {
		for (u32 i = 0; i < N; i++) flags[i] = 1;
		for (u32 i = 2; i * i < N; i++)
			if (flags[i])
				for (u32 j = i * i; j < N; j += i) flags[j] = 0;
		for (u32 i = 2; i < N; i++) t += flags[i];
	}
	return t;
}

static double A[128 * 128], B[128 * 128], C[128 * 128];

EXPORT(matmul)(u32 n) {
	for (int i = 0; i < 128 * 128; i++) A[i] = i, B[i] = i * 2;
	for (u32 k = 0; k < n; k++)
		for (int i = 0; i < 128; i++)
			for (int j = 0; j < 128; j++) {
				double s = 0;
				for (int l = 0; l < 128; l++) s += A[i * 128 + l] * B[l * 128 + j];
				C[i * 128 + j] = s;
			}
	return (u32)(C[77] / 1e6);
}

EXPORT(fib)(u32 n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

EXPORT(crc)(u32 n) {
	u32 c = ~0u;
	for (u32 i = 0; i < n; i++) {
		c ^= i & 255;
		for (int k = 0; k < 8; k++) c = (c >> 1) ^ (0xEDB88320u & -(c & 1));
	}
	return c;
}

static u32 numbers[1 << 16];

static int compare(const u32 *a, const u32 *b) { return *a < *b ? -1 : *a > *b; }

static void sort(u32 *a, int n, int (*cmp)(const u32 *, const u32 *)) {
	if (n < 2) return;
	u32 p = a[n / 2];
	int i = 0, j = n - 1;
	while (i <= j) {
		while (cmp(&a[i], &p) < 0) i++;
		while (cmp(&a[j], &p) > 0) j--;
		if (i <= j) {
			u32 t = a[i];
			a[i] = a[j];
			a[j] = t;
			i++;
			j--;
		}
	}
	sort(a, j + 1, cmp);
	sort(a + i, n - i, cmp);
}

static int (*volatile order)(const u32 *, const u32 *) = compare;

EXPORT(quicksort)(u32 n) {
	u32 t = 0;
	for (u32 k = 0; k < n; k++) {
		u32 x = k;
		for (int i = 0; i < 1 << 16; i++) numbers[i] = x = x * 1664525 + 1013904223;
		sort(numbers, 1 << 16, order);
		t += numbers[100];
	}
	return t;
}

static u32 rotate(u32 x, int n) { return x >> n | x << (32 - n); }

EXPORT(sha256)(u32 n) {
	u32 h[8] = {1, 2, 3, 4, 5, 6, 7, 8}, K[64];
	for (int i = 0; i < 64; i++) K[i] = i * 0x9e3779b9;
	for (u32 k = 0; k < n; k++) {
		u32 w[64];
		for (int i = 0; i < 16; i++) w[i] = k * i + h[i & 7];
		for (int i = 16; i < 64; i++) {
			u32 s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
			u32 s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
			w[i] = w[i - 16] + s0 + w[i - 7] + s1;
		}
		u32 v[8];
		for (int i = 0; i < 8; i++) v[i] = h[i];
		for (int i = 0; i < 64; i++) {
			u32 s1 = rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25);
			u32 t1 = v[7] + s1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + K[i] + w[i];
			u32 s0 = rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22);
			u32 t2 = s0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
			for (int j = 7; j > 0; j--) v[j] = v[j - 1];
			v[4] += t1;
			v[0] = t1 + t2;
		}
		for (int i = 0; i < 8; i++) h[i] += v[i];
	}
	return h[0];
}

static char text[4096];

__attribute__((noinline)) static u32 length(const char *s) {
	u32 n = 0;
	while (s[n]) n++;
	return n;
}

EXPORT(strings)(u32 n) {
	u32 t = 0;
	for (int i = 0; i < 4095; i++) text[i] = i % 9 ? 'a' : 0;
	for (u32 k = 0; k < n; k++)
		for (u32 p = 1; p < 4000;) {
			u32 l = length(text + p);
			t += l;
			p += l + 1;
		}
	return t;
}

static u8 program[] = {0, 1, 2, 3, 4, 5, 6, 7, 1, 2, 3, 4, 3, 2, 1, 0, 8};

EXPORT(interpreter)(u32 n) {
	u32 a = 1, b = 2, pc = 0;
	for (;;) {
		switch (program[pc++]) {
		case 0: a += b; break;
		case 1: b ^= a; break;
		case 2: a = a * 3 + 1; break;
		case 3: b = b - a; break;
		case 4: a = a >> 1; break;
		case 5: b = b << 1 | 1; break;
		case 6: a ^= b; break;
		case 7: b += 7; break;
		case 8:
			if (--n == 0) return a;
			pc = 0;
		}
	}
}

typedef struct node {
	struct node *left, *right;
	u32 value;
} node;

static node nodes[1 << 14];

__attribute__((noinline)) static u32 sum(node *n) {
	return n ? n->value + sum(n->left) + sum(n->right) : 0;
}

EXPORT(tree)(u32 n) {
	u32 t = 0, N = 1 << 14;
	for (u32 i = 0; i < N; i++) {
		nodes[i].value = i;
		nodes[i].left = 2 * i + 1 < N ? &nodes[2 * i + 1] : 0;
		nodes[i].right = 2 * i + 2 < N ? &nodes[2 * i + 2] : 0;
	}
	for (u32 k = 0; k < n; k++) {
		nodes[k & 1023].value = k;
		t += sum(nodes);
	}
	return t;
}

__attribute__((noinline)) static u32 leaf(u32 x) { return x * 7 + 1; }
__attribute__((noinline)) static u32 middle(u32 x) { return leaf(x) + leaf(x + 1); }

EXPORT(calls)(u32 n) {
	u32 t = 0;
	for (u32 i = 0; i < n; i++) t += middle(t + i);
	return t;
}

__attribute__((noinline)) static void copy(u8 *to, const u8 *from, u32 n) {
	__builtin_memcpy(to, from, n);
}

EXPORT(copies)(u32 n) {
	for (u32 i = 0; i < n; i++) copy(flags + (i * 7 & 4095) + 8192, flags + (i * 13 & 4095), 8 + (i & 63));
	return flags[8200];
}

EXPORT(nbody)(u32 n) {
	double p[15], v[15];
	for (int i = 0; i < 15; i++) p[i] = i * 1.5, v[i] = i;
	for (u32 k = 0; k < n; k++) {
		for (int i = 0; i < 5; i++)
			for (int j = i + 1; j < 5; j++) {
				double dx = p[3 * i] - p[3 * j], dy = p[3 * i + 1] - p[3 * j + 1], dz = p[3 * i + 2] - p[3 * j + 2];
				double d = dx * dx + dy * dy + dz * dz + 0.01;
				double m = 0.001 / (d * __builtin_sqrt(d));
				v[3 * i] -= dx * m, v[3 * i + 1] -= dy * m, v[3 * i + 2] -= dz * m;
				v[3 * j] += dx * m, v[3 * j + 1] += dy * m, v[3 * j + 2] += dz * m;
			}
		for (int i = 0; i < 15; i++) p[i] += v[i] * 0.001;
	}
	return (u32)(p[0] * 1000);
}
