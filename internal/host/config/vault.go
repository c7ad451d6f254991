package config

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/waterbear-run/waterbear/internal/storage"
)

// Hash names a secret of a component: a hash keyed with the vault's key, so that
// whoever has the hash alone cannot try out what the secret may be.
type Hash [sha256.Size]byte

// Vault keeps every secret that a program has been given, encrypted with AES-256-GCM,
// for as long as its component exists: a replay must see what was seen. It is for
// any number of tasks.
type Vault struct {
	cells   storage.Cells
	entropy func(p []byte) error
	naming  []byte // the key of hashes
	sealing cipher.AEAD

	mu    sync.Mutex
	known map[string]bool // the keys of cells that are there
}

// KeySize is the size of a vault's key in bytes.
const KeySize = 32

// NewVault makes a vault over cells. Who has the key can read all secrets.
func NewVault(cells storage.Cells, key [KeySize]byte, entropy func(p []byte) error) (*Vault, error) {
	block, err := aes.NewCipher(derive(key, "sealing"))
	if err != nil {
		return nil, err
	}
	sealing, err := cipher.NewGCM(block)
	return &Vault{cells: cells, entropy: entropy, naming: derive(key, "naming"), sealing: sealing, known: map[string]bool{}}, err
}

// derive makes a key for one purpose.
func derive(key [KeySize]byte, purpose string) []byte {
	sum := hmac.New(sha256.New, key[:])
	sum.Write([]byte("waterbear secrets: " + purpose))
	return sum.Sum(nil)
}

// cellPrefix begins the keys of the vault's cells: secret/COMPONENT/HASH.
const cellPrefix = "secret/"

func cellOf(component string, h Hash) string {
	return cellPrefix + component + "/" + hex.EncodeToString(h[:])
}

func (v *Vault) hash(component, text string) (h Hash) {
	sum := hmac.New(sha256.New, v.naming)
	sum.Write([]byte(component + "\x00" + text))
	sum.Sum(h[:0])
	return h
}

// seal keeps a secret, durably, and names it.
func (v *Vault) seal(ctx context.Context, component, text string) (Hash, error) {
	h := v.hash(component, text)
	cell := cellOf(component, h)
	v.mu.Lock()
	known := v.known[cell]
	v.mu.Unlock()
	if known {
		return h, nil
	}
	nonce := make([]byte, v.sealing.NonceSize())
	if err := v.entropy(nonce); err != nil {
		return h, err
	}
	sealed := v.sealing.Seal(nonce, nonce, []byte(text), []byte(cell))
	if _, err := v.cells.Put(ctx, cell, 0, sealed); err != nil && !errors.Is(err, storage.ErrConflict) {
		return h, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.known[cell] = true
	return h, nil
}

// errKey is why a secret that is there cannot be read.
var errKey = errors.New("it was kept under another key; start the server with the key file that it had (secrets.key)")

// open gives a secret back.
func (v *Vault) open(ctx context.Context, component string, h Hash) (string, error) {
	return v.openCell(ctx, cellOf(component, h))
}

func (v *Vault) openCell(ctx context.Context, cell string) (string, error) {
	sealed, _, err := v.cells.Get(ctx, cell)
	if err != nil {
		return "", err
	}
	n := v.sealing.NonceSize()
	if len(sealed) < n {
		return "", errKey
	}
	text, err := v.sealing.Open(nil, sealed[:n], sealed[n:], []byte(cell))
	if err != nil {
		return "", errKey
	}
	return string(text), nil
}

// Forget forgets the secrets of a component. Nobody may need them any more.
func (v *Vault) Forget(ctx context.Context, component string) error {
	for cell, err := range v.cells.List(ctx, cellPrefix+component+"/", "") {
		if err != nil {
			return err
		}
		_, version, err := v.cells.Get(ctx, cell)
		if err == nil {
			err = v.cells.Delete(ctx, cell, version)
		}
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return fmt.Errorf("forget a secret of %s: %w", component, err)
		}
		v.mu.Lock()
		delete(v.known, cell)
		v.mu.Unlock()
	}
	return nil
}

// minRedacted is the shortest secret that is taken out of what is shown: shorter
// ones are in everything.
const minRedacted = 4

// Redacted stands for a secret.
const Redacted = "[secret]"

// Redactor takes the secrets of a component out of texts that are shown to people:
// all that its programs were given, as they are and as they stand in JSON. It is nil
// if there are none.
func (v *Vault) Redactor(ctx context.Context, component string) (*strings.Replacer, error) {
	var texts []string
	for cell, err := range v.cells.List(ctx, cellPrefix+component+"/", "") {
		if err != nil {
			return nil, err
		}
		text, err := v.openCell(ctx, cell)
		if err != nil {
			return nil, fmt.Errorf("read the secrets of %s, to take them out of what is shown: %w", component, err)
		}
		if len(text) < minRedacted {
			continue
		}
		texts = append(texts, forms(text)...)
	}
	if len(texts) == 0 {
		return nil, nil
	}
	// The longest first: of a secret that is part of another nothing is to be left.
	slices.SortFunc(texts, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, t := range texts {
		pairs = append(pairs, t, Redacted)
	}
	return strings.NewReplacer(pairs...), nil
}

// forms are the ways in which a text stands in what is shown: as it is, in JSON and
// between the quotes of Go.
func forms(text string) []string {
	list := []string{text}
	add := func(quoted string) {
		if inner := quoted[1 : len(quoted)-1]; !slices.Contains(list, inner) {
			list = append(list, inner)
		}
	}
	add(strconv.Quote(text))
	var b strings.Builder
	for _, html := range []bool{false, true} {
		b.Reset()
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(html)
		if e.Encode(text) == nil { // it cannot fail with a string
			add(strings.TrimSuffix(b.String(), "\n"))
		}
	}
	return list
}
