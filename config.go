package waterbear

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/waterbear-run/waterbear/internal/host/config"
	"github.com/waterbear-run/waterbear/internal/host/live"
	"github.com/waterbear-run/waterbear/internal/vfs"
)

// secretsKeyFile is the default name of the key's file, in the state directory.
const secretsKeyFile = "secrets.key"

// openConfig gives programs what the options say that there is for them. The vault
// is nil if there are no secrets and never were.
func (n *Node) openConfig() (*config.Vault, error) {
	o := n.options.Platform
	var sources config.Sources
	var err error
	if sources.Config, err = configSources(o.Config); err != nil {
		return nil, fmt.Errorf("configuration of programs: %w", err)
	}
	if sources.Secrets, err = configSources(o.Secrets); err != nil {
		return nil, fmt.Errorf("secrets of programs: %w", err)
	}
	file := o.SecretsKey
	if file == "" {
		file = path.Join(n.options.Dir, secretsKeyFile)
	}
	key, err := n.secretsKey(file, len(sources.Secrets) > 0)
	if err != nil || key == nil {
		n.runtime.Config = &sources
		return nil, err
	}
	sources.Vault, err = config.NewVault(n.store.Cells(), *key, n.runtime.Entropy)
	n.runtime.Config = &sources
	return sources.Vault, err
}

// CheckConfigSource says why text is no source of configuration or secrets.
func CheckConfigSource(text string) error {
	_, err := live.ConfigSource(text)
	return err
}

func configSources(texts []string) (list []config.Source, err error) {
	for _, t := range texts {
		s, err := live.ConfigSource(t)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// secretsKey reads a key's file, or makes it if it is wanted. Without one it gives
// nil.
func (n *Node) secretsKey(file string, wanted bool) (*[config.KeySize]byte, error) {
	text, err := readAll(n.disk, file)
	var key [config.KeySize]byte
	switch {
	case errors.Is(err, fs.ErrNotExist) && !wanted:
		return nil, nil
	case errors.Is(err, fs.ErrNotExist):
		if err := n.runtime.Entropy(key[:]); err != nil {
			return nil, err
		}
		return &key, n.writeKey(file, hex.EncodeToString(key[:])+"\n")
	case err != nil:
		return nil, fmt.Errorf("read the key of secrets: %w", err)
	}
	b, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil || len(b) != len(key) {
		return nil, fmt.Errorf("%s is no key of secrets: it has to have %d hexadecimal digits, as `openssl rand -hex %d` makes them", file, 2*len(key), len(key))
	}
	copy(key[:], b)
	return &key, nil
}

// maxKeyFile is more than the file of a key has.
const maxKeyFile = 4 << 10

func readAll(disk vfs.FS, name string) (string, error) {
	f, err := disk.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.NewSectionReader(f, 0, maxKeyFile))
	return string(b), err
}

// writeKey makes the file of a key, durably: what is kept under it is lost with it.
func (n *Node) writeKey(file, text string) error {
	part := file + ".new"
	f, err := n.disk.Create(part)
	if err != nil {
		return fmt.Errorf("make the key of secrets: %w", err)
	}
	_, err = f.WriteAt([]byte(text), 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = n.disk.Rename(part, file)
	}
	if err == nil {
		err = n.disk.SyncDir(path.Dir(file))
	}
	if err != nil {
		return fmt.Errorf("make the key of secrets %s: %w", file, err)
	}
	return nil
}
