// Debian's source of Lua includes this file, which Debian's build writes: it
// names the directory of native modules, of which there are none here.
#define DEB_HOST_MULTIARCH "wasm32-wasi"
