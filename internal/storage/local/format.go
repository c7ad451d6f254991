package local

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/waterbear-run/waterbear/internal/vfs"
)

const (
	formatName   = "FORMAT"
	formatPrefix = "waterbear store "
)

// checkFormat makes sure that the directory is of our format. If it says
// nothing, it is said if write allows it: every log file has the version too.
func checkFormat(disk vfs.FS, dir string, write bool) error {
	name := path.Join(dir, formatName)
	b, err := readFile(disk, name)
	if errors.Is(err, fs.ErrNotExist) {
		if !write {
			return nil
		}
		// On a full disk this is left for the next time.
		err := replaceFile(disk, name, fmt.Appendf(nil, "%s%d\n", formatPrefix, Version))
		if errors.Is(err, vfs.ErrFull) {
			return nil
		}
		return err
	}
	if err != nil {
		return err
	}
	number, ok := strings.CutPrefix(strings.TrimSpace(string(b)), formatPrefix)
	v, err := strconv.ParseUint(number, 10, 64)
	if !ok || err != nil {
		return fmt.Errorf("%s does not say \"%sN\" but %.40q; restore it from a backup, or write \"%s%d\" there if it is a store of this version", name, formatPrefix, b, formatPrefix, Version)
	}
	if v > Version {
		return newerFormat(v)
	}
	return nil
}
