package wasm

// SetLargePages decides from how many pages on a state gets its own file.
func (e *Engine) SetLargePages(n int) { e.states.large = n }

// LoseFiles leaves no room for states but memory.
func (e *Engine) LoseFiles() error {
	err := e.states.close()
	e.states.slab, e.states.most = &slab{}, 0
	return err
}

// StateFiles is how many states have their own file, and how many slots are
// used.
func (e *Engine) StateFiles() (files, slots int) {
	return int(e.states.files.Load()), e.states.slab.used
}

// Reserved is what the memory of all instances, and states without room in
// files, takes of Config.MaxMemory.
func (e *Engine) Reserved() uint64 { return e.memory.used.Load() }

// SetRedundantPages decides how soon an instance in use shows its state anew.
func (e *Engine) SetRedundantPages(n int) { e.redundant = n }

// OwnPages is how many pages of its memory are the instance's own, as far as the
// tracker knows.
func (in *Instance) OwnPages() (pages int, err error) {
	err = in.module.engine.tracking.tracker.written(in.memory.bytes(), 0, in.memory.size, func(from, to uint64) bool {
		pages += int(to-from) / PageSize
		return true
	})
	return pages, err
}
