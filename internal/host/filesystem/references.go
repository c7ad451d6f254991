package filesystem

// References lists the packs that hold content of the file system, each once.
func (f *FS) References() []Sum {
	var sums []Sum
	known := make(map[*pack]bool)
	for _, n := range f.nodes.all() {
		for _, c := range n.chunks.all() {
			if c.stored != nil && !known[c.stored.pack] {
				known[c.stored.pack] = true
				sums = append(sums, c.stored.pack.sum)
			}
		}
	}
	return sums
}
