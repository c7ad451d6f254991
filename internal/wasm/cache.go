package wasm

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/waterbear-run/waterbear/internal/wasmbin"
)

// cache keeps compiled modules on disk, one file each. What it gives back is
// machine code that will be run, so a file is believed only if a checksum over
// all of it is right; anything else is a miss, and the module is compiled
// again. Nothing here is allowed to fail a compilation.
//
// wazero writes and reads machine code by itself, checks only part of it, and
// names its files as it likes. Its directory is therefore private to this
// engine and holds the one file that it is to find now, or has just written.
type cache struct {
	entries string // shared between processes
	private *privateDir
}

// cacheMagic begins every file of the cache and names its format.
const cacheMagic = "waterbear compiled module 2\n"

// entry is one compiled module.
type entry struct {
	// File is where wazero looks for the code, relative to its directory.
	File      string
	Rewritten *wasmbin.Rewritten
	// Runs are offset and length of the runs of the base image, whose bytes are
	// not part of the description.
	Runs [][2]uint32
	code []byte
}

// openCache makes dir a cache, creating it if need be.
func openCache(dir string) (*cache, error) {
	c := &cache{entries: filepath.Join(dir, "entries")}
	if err := os.MkdirAll(c.entries, 0o700); err != nil {
		return nil, err
	}
	private, err := newPrivateDir(dir)
	if err != nil {
		return nil, err
	}
	c.private = private
	return c, nil
}

// key names the result of compiling source by this program.
func (c *cache) key(source []byte, o wasmbin.Options) string {
	h := sha256.New()
	for _, part := range []string{cacheMagic, wasmbin.Version, optionsKey(o), wazeroVersion()} {
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(part))))
		h.Write([]byte(part))
	}
	h.Write(source)
	return hex.EncodeToString(h.Sum(nil))
}

// optionsKey writes options so that only equal ones are written alike.
func optionsKey(o wasmbin.Options) string {
	key := fmt.Sprintf("%d %d", o.TableItems, o.TableRoom)
	if o.Link != nil {
		key += fmt.Sprintf(" %q", o.Link.Imports)
	}
	return key
}

// wazeroVersion is the version of wazero that this program was built with.
func wazeroVersion() string {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range build.Deps {
		if m.Path == "github.com/tetratelabs/wazero" {
			if m.Replace != nil {
				m = m.Replace
			}
			return m.Path + "@" + m.Version + " " + m.Sum
		}
	}
	return ""
}

// load finds an entry and puts its code where wazero will look for it. It
// returns nil if there is none that can be used; one that is damaged is
// removed.
func (c *cache) load(key string) *wasmbin.Rewritten {
	path := filepath.Join(c.entries, key)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	e, err := decodeEntry(data)
	if err != nil {
		_ = os.Remove(path)
		return nil
	}
	if err := c.private.put(e.File, e.code); err != nil {
		return nil
	}
	return e.Rewritten
}

// store keeps what wazero has just compiled and clears its directory for the
// next module. If the code was loaded by load there is nothing to keep.
func (c *cache) store(key string, r *wasmbin.Rewritten, loaded bool) {
	defer c.private.clear()
	if loaded {
		return
	}
	file, code, err := c.private.take()
	if err != nil {
		return
	}
	e := entry{File: file, Rewritten: r, code: code}
	data, err := e.encode()
	if err != nil {
		return
	}
	if c.private.publish(data, filepath.Join(c.entries, key)) == nil {
		evict(c.entries, key, maxCacheBytes)
	}
}

// encode writes an entry: magic, checksum of the rest, description, base image,
// module, code.
func (e *entry) encode() ([]byte, error) {
	described := *e.Rewritten
	described.Module, described.Base = nil, nil
	var runs [][2]uint32
	var base []byte
	for _, r := range e.Rewritten.Base {
		runs = append(runs, [2]uint32{r.Offset, uint32(len(r.Bytes))})
		base = append(base, r.Bytes...)
	}
	description, err := json.Marshal(entry{File: e.File, Rewritten: &described, Runs: runs})
	if err != nil {
		return nil, err
	}
	head := len(cacheMagic) + sha256.Size
	out := make([]byte, head, head+24+len(description)+len(base)+len(e.Rewritten.Module)+len(e.code))
	copy(out, cacheMagic)
	for _, part := range [][]byte{description, base, e.Rewritten.Module} {
		out = binary.LittleEndian.AppendUint64(out, uint64(len(part)))
		out = append(out, part...)
	}
	out = append(out, e.code...)
	sum := sha256.Sum256(out[len(cacheMagic)+sha256.Size:])
	copy(out[len(cacheMagic):], sum[:])
	return out, nil
}

var errDamaged = errors.New("the entry is damaged")

// decodeEntry reads an entry if it is whole.
func decodeEntry(data []byte) (*entry, error) {
	rest, ok := bytes.CutPrefix(data, []byte(cacheMagic))
	if !ok || len(rest) < sha256.Size {
		return nil, errDamaged
	}
	sum := rest[:sha256.Size]
	rest = rest[sha256.Size:]
	if got := sha256.Sum256(rest); !bytes.Equal(got[:], sum) {
		return nil, errDamaged
	}
	var parts [3][]byte
	for i := range parts {
		if len(rest) < 8 {
			return nil, errDamaged
		}
		n := binary.LittleEndian.Uint64(rest)
		if rest = rest[8:]; n > uint64(len(rest)) {
			return nil, errDamaged
		}
		parts[i], rest = rest[:n], rest[n:]
	}
	e := &entry{}
	if err := json.Unmarshal(parts[0], e); err != nil || e.Rewritten == nil || !filepath.IsLocal(e.File) {
		return nil, errDamaged
	}
	base := parts[1]
	for _, r := range e.Runs {
		if uint64(r[1]) > uint64(len(base)) {
			return nil, errDamaged
		}
		e.Rewritten.Base = append(e.Rewritten.Base, wasmbin.Run{Offset: r[0], Bytes: base[:r[1]:r[1]]})
		base = base[r[1]:]
	}
	e.Rewritten.Module, e.code = parts[2], rest
	return e, nil
}

// dir is where files of this engine can be made, "" without a cache.
func (c *cache) dir() string {
	if c == nil {
		return ""
	}
	return c.private.path
}

// close gives the engine's directory back.
func (c *cache) close() {
	if c != nil {
		c.private.remove()
	}
}
