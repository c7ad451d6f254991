// Package access is who may do what: tokens, their scopes, and whether a scope
// allows an action. It hides how tokens are stored, which their secrets are
// not: only a hash of each is.
package access

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
)

const (
	// MaxTokens bounds how many tokens there are.
	MaxTokens = 10_000
	// MaxScopes bounds how many scopes a token has.
	MaxScopes = 1000
	// MaxSecret bounds the bytes of a secret that a person chose.
	MaxSecret = 512
)

// A secret is secretPrefix, by which people and scanners know it, and the
// base64url of secretBytes random bytes.
const (
	secretPrefix = "wb_"
	secretBytes  = 32
)

// Tokens are the tokens of a node. Its methods may be called by any number of
// tasks. Errors are an *api.Problem where the caller is at fault or can do
// something.
type Tokens struct {
	sched   sched.Scheduler
	cells   storage.Cells
	entropy func([]byte) error
	turn    sched.Condition // of changing

	mu       sync.RWMutex
	changing bool // somebody changes the tokens, one at a time
	byName   map[string]*token
	byHash   map[hash]*token
}

type hash [sha256.Size]byte

// token is a token as it is stored. It is not changed.
type token struct {
	api.Token
	hash    hash
	version uint64 // of its cell
	damage  error  // why there is no more of it than its name
}

// Open reads all tokens. One that is damaged is listed by its name, without
// scopes, and lets nobody in.
func Open(ctx context.Context, s sched.Scheduler, cells storage.Cells, entropy func([]byte) error) (*Tokens, error) {
	t := &Tokens{
		sched: s, cells: cells, entropy: entropy, turn: s.NewCondition(),
		byName: map[string]*token{}, byHash: map[hash]*token{},
	}
	var names []string
	for key, err := range cells.List(ctx, keyPrefix, "") {
		if err != nil {
			return nil, fmt.Errorf("list the tokens: %w", err)
		}
		names = append(names, strings.TrimPrefix(key, keyPrefix))
	}
	for _, name := range names {
		if _, err := t.read(ctx, name); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// Create makes a token. Its secret is in the answer and nowhere else.
func (t *Tokens) Create(ctx context.Context, n api.NewToken) (api.CreatedToken, error) {
	now := t.sched.Now().UTC()
	if err := check(n, now); err != nil {
		return api.CreatedToken{}, err
	}
	made := api.Token{Name: n.Name, Scopes: slices.Clone(n.Scopes), Created: now}
	if !n.Expires.IsZero() {
		made.Expires = n.Expires.UTC()
	}
	secret := n.Secret
	if secret == "" {
		var err error
		if secret, err = t.secret(); err != nil {
			return api.CreatedToken{}, fmt.Errorf("create token %s: %w", n.Name, err)
		}
	}
	yield, err := t.take(ctx)
	if err != nil {
		return api.CreatedToken{}, err
	}
	defer yield()
	had, err := t.read(ctx, n.Name)
	if err == nil && had != nil {
		return api.CreatedToken{}, invalid("name", fmt.Sprintf("there is a token named %s: choose another name, or delete it", n.Name))
	}
	if err == nil && t.count() >= MaxTokens {
		return api.CreatedToken{}, api.NewProblem(api.CodeTooLarge, fmt.Sprintf("create token %s: there are %d tokens, as many as there can be: delete some", n.Name, MaxTokens))
	}
	if err == nil {
		err = t.write(ctx, &token{Token: made, hash: sha256.Sum256([]byte(secret))})
	}
	if err != nil {
		return api.CreatedToken{}, failed("create token "+n.Name, err)
	}
	return api.CreatedToken{Token: made, Secret: secret}, nil
}

// check says what is wrong with a new token, or nil.
func check(n api.NewToken, now time.Time) error {
	if err := id.CheckName(n.Name); err != nil {
		return invalid("name", fmt.Sprintf("token %v", err))
	}
	if len(n.Scopes) == 0 || len(n.Scopes) > MaxScopes {
		return invalid("scopes", fmt.Sprintf("a token has 1 to %d scopes, not %d; %s", MaxScopes, len(n.Scopes), validScopes))
	}
	if len(n.Secret) > MaxSecret {
		return invalid("secret", fmt.Sprintf("a secret has at most %d bytes, not %d", MaxSecret, len(n.Secret)))
	}
	for i, s := range n.Scopes {
		if err := checkScope(s); err != nil {
			return invalid(fmt.Sprintf("scopes[%d]", i), err.Error())
		}
	}
	if !n.Expires.IsZero() && !n.Expires.After(now) {
		return invalid("expires", fmt.Sprintf("it would have expired already, at %s", n.Expires.Format(time.RFC3339)))
	}
	if year := n.Expires.Year(); year > 9999 {
		return invalid("expires", fmt.Sprintf("there is no year %d: leave it out if the token is not to expire", year))
	}
	return nil
}

func invalid(field, message string) error {
	p := api.NewProblem(api.CodeInvalid, "create token: "+message)
	p.Errors = []api.FieldError{{Location: "body." + field, Message: message}}
	return p
}

func failed(what string, err error) error {
	if errors.Is(err, storage.ErrFull) {
		return api.NewProblem(api.CodeDiskFull, fmt.Sprintf("%s: %v; free some space and try again", what, err))
	}
	return fmt.Errorf("%s: %w", what, err)
}

func (t *Tokens) secret() (string, error) {
	random := make([]byte, secretBytes)
	if err := t.entropy(random); err != nil {
		return "", err
	}
	return secretPrefix + base64.RawURLEncoding.EncodeToString(random), nil
}

// List gives all tokens, by name, without their secrets.
func (t *Tokens) List(context.Context) ([]api.Token, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := make([]api.Token, 0, len(t.byName))
	for _, name := range slices.Sorted(maps.Keys(t.byName)) {
		all = append(all, t.byName[name].Token)
	}
	return all, nil
}

// Delete ends a token at once.
func (t *Tokens) Delete(ctx context.Context, name string) error {
	yield, err := t.take(ctx)
	if err != nil {
		return err
	}
	defer yield()
	k, err := t.read(ctx, name)
	if err != nil {
		return failed("delete token "+name, err)
	}
	if k == nil {
		return api.NewProblem(api.CodeNoToken, fmt.Sprintf("there is no token %q", name))
	}
	if k.version == 0 {
		return api.NewProblem(api.CodeDamaged, fmt.Sprintf("delete token %s: neither its record nor its place can be read, so it lets nobody in: %v; restore the data directory from a backup", name, k.damage))
	}
	err = t.cells.Delete(ctx, keyPrefix+name, k.version)
	if err != nil {
		// Whether it is gone nobody knows, unless it can be read now.
		if now, readErr := t.read(context.WithoutCancel(ctx), name); readErr != nil || now != nil {
			return failed("delete token "+name, err)
		}
	}
	t.set(name, nil)
	return nil
}

// Authenticate finds the token that has this secret. It takes the same time
// whatever the secret: what is compared are hashes, which tell nothing of it.
func (t *Tokens) Authenticate(secret string) (api.Token, error) {
	if len(secret) > MaxSecret {
		return api.Token{}, errUnknown()
	}
	h := hash(sha256.Sum256([]byte(secret)))
	t.mu.RLock()
	k := t.byHash[h]
	t.mu.RUnlock()
	if k == nil {
		return api.Token{}, errUnknown()
	}
	if !k.Expires.IsZero() && !t.sched.Now().Before(k.Expires) {
		return api.Token{}, api.NewProblem(api.CodeUnauthorized, fmt.Sprintf("the token %s expired at %s: ask for another", k.Name, k.Expires.Format(time.RFC3339)))
	}
	return k.Token, nil
}

func errUnknown() error {
	return api.NewProblem(api.CodeUnauthorized, "there is no such token: it was mistyped or deleted")
}

// take waits until nobody else changes the tokens and keeps others from it
// until yield is called.
func (t *Tokens) take(ctx context.Context) (yield func(), err error) {
	err = t.turn.Wait(ctx, func() bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.changing {
			return false
		}
		t.changing = true
		return true
	})
	if err != nil {
		return nil, err
	}
	return func() {
		t.mu.Lock()
		t.changing = false
		t.mu.Unlock()
		t.turn.Wake()
	}, nil
}

// set replaces a token in memory, or forgets it if k is nil.
func (t *Tokens) set(name string, k *token) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if had := t.byName[name]; had != nil && had.damage == nil {
		delete(t.byHash, had.hash)
	}
	if k == nil {
		delete(t.byName, name)
		return
	}
	t.byName[name] = k
	if k.damage == nil {
		t.byHash[k.hash] = k
	}
}

func (t *Tokens) count() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.byName)
}

// keyPrefix begins the keys of the cells of tokens, and format is the version of
// what is in them. docs/CATALOG.md describes it.
const (
	keyPrefix = "token/"
	format    = 1
)

// record is the stored form of a token.
type record struct {
	Format int    `json:"format"`
	SHA256 string `json:"sha256"` // of the secret, in hex
	api.Token
}

// read takes over what the store has of a token, nil if that is nothing.
func (t *Tokens) read(ctx context.Context, name string) (*token, error) {
	text, version, err := t.cells.Get(ctx, keyPrefix+name)
	var k *token
	var corrupt *storage.CorruptError
	switch {
	case errors.Is(err, storage.ErrNotFound):
	case err == nil:
		k, err = decode(name, text)
		if err != nil {
			return nil, err
		}
		k.version = version
	case errors.As(err, &corrupt):
		k = &token{Token: api.Token{Name: name}, damage: err, version: version}
	default:
		return nil, fmt.Errorf("read token %s: %w", name, err)
	}
	t.set(name, k)
	return k, nil
}

// decode reads a token. What is wrong with it otherwise than by its format is
// damage: this program does not write such.
func decode(name string, text []byte) (*token, error) {
	r := record{}
	err := json.Unmarshal(text, &r)
	if err == nil && r.Format > format {
		return nil, fmt.Errorf("cell %s has format %d, and this program knows %d: %w", keyPrefix+name, r.Format, format, storage.ErrNewerFormat)
	}
	k := &token{Token: r.Token}
	if err == nil && (r.Format < 1 || r.Name != name || len(r.SHA256) != hex.EncodedLen(len(k.hash))) {
		err = errors.New("it is not the record of this token")
	}
	if err == nil {
		_, err = hex.Decode(k.hash[:], []byte(r.SHA256))
	}
	if err != nil {
		return &token{Token: api.Token{Name: name}, damage: err}, nil
	}
	return k, nil
}

// write makes a new token durable. If the outcome is not known, it looks.
func (t *Tokens) write(ctx context.Context, k *token) error {
	text, err := json.Marshal(record{Format: format, SHA256: hex.EncodeToString(k.hash[:]), Token: k.Token})
	if err != nil {
		return err
	}
	version, err := t.cells.Put(ctx, keyPrefix+k.Name, 0, text)
	if err != nil {
		found, foundVersion, getErr := t.cells.Get(context.WithoutCancel(ctx), keyPrefix+k.Name)
		if getErr != nil || !bytes.Equal(found, text) {
			return err
		}
		version = foundVersion
	}
	k.version = version
	t.set(k.Name, k)
	return nil
}
