// setjmp for WASI: clang lowers both calls to the functions of sjlj.c and to
// WebAssembly exceptions when it is given -wasm-enable-sjlj.
#ifndef EXAMPLES_LUA_SETJMP_H
#define EXAMPLES_LUA_SETJMP_H

typedef struct {
	void *call;          // identifies the call of the function that called setjmp
	unsigned int label;  // which setjmp of that function
	struct {
		void *buffer;
		int value;
	} thrown; // what an exception carries: the layout is clang's
} jmp_buf[1];

int setjmp(jmp_buf buffer) __attribute__((__returns_twice__));
_Noreturn void longjmp(jmp_buf buffer, int value);

#endif
