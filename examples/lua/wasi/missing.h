// Included before every file of Lua: WASI has no temporary names, and
// os.tmpname may fail.
#define LUA_TMPNAMBUFSIZE 1
#define lua_tmpnam(buffer, failed) \
	{                              \
		(void)(buffer);            \
		failed = 1;                \
	}
