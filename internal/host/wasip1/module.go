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
	name    string
	params  string
	answers answers
	call    func(s *System, m memory, p params) errno
}

// answers tells the functions whose answers and effects are the same in every
// system with the same Preopens, as long as only such functions were called: of
// a fresh system those know the descriptors alone.
type answers bool

const (
	same    answers = false
	differs answers = true
)

// params are a call's parameters.
type params []uint64

func (p params) u32(i int) uint32 { return uint32(p[i]) }
func (p params) u64(i int) uint64 { return p[i] }
func (p params) u16(i int) uint32 { return uint32(p[i]) & 0xffff }

// functions are all that return something.
func functions() []function {
	return []function{
		{"args_get", "ii", differs, (*System).argsGet},
		{"args_sizes_get", "ii", differs, (*System).argsSizesGet},
		{"clock_res_get", "ii", same, (*System).clockResGet},
		{"clock_time_get", "ili", differs, (*System).clockTimeGet},
		{"environ_get", "ii", differs, (*System).environGet},
		{"environ_sizes_get", "ii", differs, (*System).environSizesGet},
		{"fd_advise", "illi", same, (*System).fdAdvise},
		{"fd_allocate", "ill", differs, (*System).fdAllocate},
		{"fd_close", "i", same, (*System).fdClose},
		{"fd_datasync", "i", same, (*System).fdDatasync},
		{"fd_fdstat_get", "ii", same, (*System).fdFdstatGet},
		{"fd_fdstat_set_flags", "ii", same, (*System).fdFdstatSetFlags},
		{"fd_fdstat_set_rights", "ill", same, (*System).fdFdstatSetRights},
		{"fd_filestat_get", "ii", differs, (*System).fdFilestatGet},
		{"fd_filestat_set_size", "il", differs, (*System).fdFilestatSetSize},
		{"fd_filestat_set_times", "illi", differs, (*System).fdFilestatSetTimes},
		{"fd_pread", "iiili", differs, (*System).fdPread},
		{"fd_prestat_dir_name", "iii", same, (*System).fdPrestatDirName},
		{"fd_prestat_get", "ii", same, (*System).fdPrestatGet},
		{"fd_pwrite", "iiili", differs, (*System).fdPwrite},
		{"fd_read", "iiii", differs, (*System).fdRead},
		{"fd_readdir", "iiili", differs, (*System).fdReaddir},
		{"fd_renumber", "ii", same, (*System).fdRenumber},
		{"fd_seek", "ilii", same, (*System).fdSeek},
		{"fd_sync", "i", same, (*System).fdSync},
		{"fd_tell", "ii", same, (*System).fdTell},
		{"fd_write", "iiii", differs, (*System).fdWrite},
		{"path_create_directory", "iii", differs, (*System).pathCreateDirectory},
		{"path_filestat_get", "iiiii", differs, (*System).pathFilestatGet},
		{"path_filestat_set_times", "iiiilli", differs, (*System).pathFilestatSetTimes},
		{"path_link", "iiiiiii", differs, (*System).pathLink},
		{"path_open", "iiiiillii", differs, (*System).pathOpen},
		{"path_readlink", "iiiiii", differs, (*System).pathReadlink},
		{"path_remove_directory", "iii", differs, (*System).pathRemoveDirectory},
		{"path_rename", "iiiiii", differs, (*System).pathRename},
		{"path_symlink", "iiiii", differs, (*System).pathSymlink},
		{"path_unlink_file", "iii", differs, (*System).pathUnlinkFile},
		{"poll_oneoff", "iiii", differs, (*System).pollOneoff},
		{"proc_raise", "i", same, (*System).procRaise},
		{"random_get", "ii", differs, (*System).randomGet},
		{"sched_yield", "", same, (*System).schedYield},
		{"sock_accept", "iii", same, (*System).sockRefuse},
		{"sock_recv", "iiiiii", same, (*System).sockRefuse},
		{"sock_send", "iiiii", same, (*System).sockRefuse},
		{"sock_shutdown", "ii", same, (*System).sockRefuse},
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
		call, observes := f.call, ""
		if f.answers == differs {
			observes = f.name
		}
		m.Funcs = append(m.Funcs, wasm.HostFunc{
			Name: f.name, Params: types(f.params), Results: types("i"),
			Call: func(in *wasm.Instance, stack []uint64) {
				s := in.State().(Holder).WASIP1()
				if s.observed != nil && observes != "" {
					s.observed(observes)
				}
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
