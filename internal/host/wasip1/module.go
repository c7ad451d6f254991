package wasip1

import (
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

// moduleName is what programs import the functions from.
const moduleName = "wasi_snapshot_preview1"

// function is one function of the interface. Its parameters are i (32 bits) or
// l (64 bits); its result is an error number.
type function struct {
	name   string
	params string
	call   func(s *System, m memory, p params) errno
}

// params are a call's parameters.
type params []uint64

func (p params) u32(i int) uint32 { return uint32(p[i]) }
func (p params) u64(i int) uint64 { return p[i] }
func (p params) u16(i int) uint32 { return uint32(p[i]) & 0xffff }

// functions are all that return something.
func functions() []function {
	return []function{
		{"args_get", "ii", (*System).argsGet},
		{"args_sizes_get", "ii", (*System).argsSizesGet},
		{"clock_res_get", "ii", (*System).clockResGet},
		{"clock_time_get", "ili", (*System).clockTimeGet},
		{"environ_get", "ii", (*System).environGet},
		{"environ_sizes_get", "ii", (*System).environSizesGet},
		{"fd_advise", "illi", (*System).fdAdvise},
		{"fd_allocate", "ill", (*System).fdAllocate},
		{"fd_close", "i", (*System).fdClose},
		{"fd_datasync", "i", (*System).fdDatasync},
		{"fd_fdstat_get", "ii", (*System).fdFdstatGet},
		{"fd_fdstat_set_flags", "ii", (*System).fdFdstatSetFlags},
		{"fd_fdstat_set_rights", "ill", (*System).fdFdstatSetRights},
		{"fd_filestat_get", "ii", (*System).fdFilestatGet},
		{"fd_filestat_set_size", "il", (*System).fdFilestatSetSize},
		{"fd_filestat_set_times", "illi", (*System).fdFilestatSetTimes},
		{"fd_pread", "iiili", (*System).fdPread},
		{"fd_prestat_dir_name", "iii", (*System).fdPrestatDirName},
		{"fd_prestat_get", "ii", (*System).fdPrestatGet},
		{"fd_pwrite", "iiili", (*System).fdPwrite},
		{"fd_read", "iiii", (*System).fdRead},
		{"fd_readdir", "iiili", (*System).fdReaddir},
		{"fd_renumber", "ii", (*System).fdRenumber},
		{"fd_seek", "ilii", (*System).fdSeek},
		{"fd_sync", "i", (*System).fdSync},
		{"fd_tell", "ii", (*System).fdTell},
		{"fd_write", "iiii", (*System).fdWrite},
		{"path_create_directory", "iii", (*System).pathCreateDirectory},
		{"path_filestat_get", "iiiii", (*System).pathFilestatGet},
		{"path_filestat_set_times", "iiiilli", (*System).pathFilestatSetTimes},
		{"path_link", "iiiiiii", (*System).pathLink},
		{"path_open", "iiiiillii", (*System).pathOpen},
		{"path_readlink", "iiiiii", (*System).pathReadlink},
		{"path_remove_directory", "iii", (*System).pathRemoveDirectory},
		{"path_rename", "iiiiii", (*System).pathRename},
		{"path_symlink", "iiiii", (*System).pathSymlink},
		{"path_unlink_file", "iii", (*System).pathUnlinkFile},
		{"poll_oneoff", "iiii", (*System).pollOneoff},
		{"proc_raise", "i", (*System).procRaise},
		{"random_get", "ii", (*System).randomGet},
		{"sched_yield", "", (*System).schedYield},
		{"sock_accept", "iii", (*System).sockRefuse},
		{"sock_recv", "iiiiii", (*System).sockRefuse},
		{"sock_send", "iiiii", (*System).sockRefuse},
		{"sock_shutdown", "ii", (*System).sockRefuse},
	}
}

// Module is the host functions. They find their System through the State of
// the instance that calls them, which must be a Holder.
func Module() wasm.HostModule {
	m := wasm.HostModule{Name: moduleName, Funcs: []wasm.HostFunc{{
		Name: "proc_exit", Params: types("i"),
		Call: func(_ *wasm.Instance, stack []uint64) { wasm.Abort(&wasi.ExitError{Code: uint32(stack[0])}) },
	}}}
	for _, f := range functions() {
		call := f.call
		m.Funcs = append(m.Funcs, wasm.HostFunc{
			Name: f.name, Params: types(f.params), Results: types("i"),
			Call: func(in *wasm.Instance, stack []uint64) {
				s := in.State().(Holder).WASIP1()
				stack[0] = uint64(call(s, in.Memory(), stack))
			},
		})
	}
	return m
}

func types(letters string) []wasm.ValueType {
	var list []wasm.ValueType
	for _, l := range letters {
		t := wasm.I32
		if l == 'l' {
			t = wasm.I64
		}
		list = append(list, t)
	}
	return list
}
