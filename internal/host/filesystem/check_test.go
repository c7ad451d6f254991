package filesystem

import "fmt"

// Check panics if an invariant does not hold.
func (f *FS) Check() {
	var names, bytes uint64
	links := map[Inode]uint32{Root: 1}
	subdirs := map[Inode]int{}
	for i, n := range f.nodes.all() {
		for _, name := range n.order.all() {
			e, ok := n.entries.get(name)
			kid, there := f.nodes.get(e.inode)
			if !ok || !there || kid.kind != e.kind {
				panic(fmt.Sprintf("directory %d: entry %q leads to %+v", i, name, e))
			}
			links[e.inode]++
			if kid.kind == Directory {
				subdirs[i]++
				if kid.parent != i {
					panic(fmt.Sprintf("directory %d is in %d and believes to be in %d", e.inode, i, kid.parent))
				}
			}
		}
		if n.order.size != n.entries.size {
			panic(fmt.Sprintf("directory %d: %d cookies, %d names", i, n.order.size, n.entries.size))
		}
	}
	for i, n := range f.nodes.all() {
		if n.inode != i || i >= f.next || n.links != links[i] || n.subdirs != subdirs[i] || n.links == 0 && n.opens == 0 {
			panic(fmt.Sprintf("inode %d: %+v, links %d", i, n, links[i]))
		}
		names += uint64(max(n.links, 1))
		bytes += blocks(len(n.target))
		for index, c := range n.chunks.all() {
			bytes += blocks(c.size)
			if c.size == 0 || index*chunkSize+uint64(c.size) > n.size || c.data != nil && len(c.data) != c.size || c.data == nil && c.stored == nil {
				panic(fmt.Sprintf("inode %d of %d bytes: chunk %d has %d", i, n.size, index, c.size))
			}
			if cap(c.data) > 2*c.size+block {
				panic(fmt.Sprintf("inode %d: chunk %d of %d bytes takes %d", i, index, c.size, cap(c.data)))
			}
		}
	}
	if bytes += names * block; f.names != names || f.bytes != bytes {
		panic(fmt.Sprintf("charged %d names and %d bytes, used %d and %d", f.names, f.bytes, names, bytes))
	}
}
