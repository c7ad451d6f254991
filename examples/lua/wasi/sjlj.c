// The three functions that clang's setjmp lowering calls. A function that
// calls setjmp catches every exception with the tag of longjmp and asks
// whether it was meant for it.
#include "setjmp.h"

enum { TAG_C_LONGJMP = 1 };

void __wasm_setjmp(jmp_buf buffer, unsigned int label, void *call) {
	buffer->call = call;
	buffer->label = label;
}

unsigned int __wasm_setjmp_test(jmp_buf buffer, void *call) {
	return buffer->call == call ? buffer->label : 0;
}

_Noreturn void __wasm_longjmp(jmp_buf buffer, int value) {
	buffer->thrown.buffer = buffer;
	buffer->thrown.value = value ? value : 1; // C99 7.13.2.1
	__builtin_wasm_throw(TAG_C_LONGJMP, &buffer->thrown);
}
