package pack

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/seed51309289/quiver/hook"
)

// Bounds of a trust file.
const (
	maxTrustFile  = 1 << 20 // limit: bytes of a trust file
	maxKeys       = 512     // limit: trusted keys
	maxGlobs      = 32      // limit: patterns of one key
	maxPins       = 2048    // limit: pinned packages
	maxValidators = 64      // limit: validators
	maxRequire    = 16      // limit: demands on every plugin
)

// Trust is what the user of this machine believes: whose plugins may do what. The zero value trusts nobody.
//
// As a file it is JSON of at most 1 MiB; each list may be left out:
//
//	{
//	  "keys":       [{"name": "alice", "key": "ed25519:…", "ids": ["org.example.*"], "permissions": ["reserve", "timer"],
//	                  "views": ["payload"], "expires": "2027-01-01T00:00:00Z"}],
//	  "pins":       [{"digest": "64 hexadecimal digits", "permissions": ["recovered"], "views": ["payload"], "note": "read on …"}],
//	  "validators": [{"name": "v1", "key": "ed25519:…", "expires": "2027-01-01T00:00:00Z"}],
//	  "require":    [{"claim": "reproduced", "by": "v1 & (v2 | v3)"}]
//	}
type Trust struct {
	Keys       []TrustedKey
	Pins       []Pin
	Validators []Validator
	Require    []Requirement
}

// A Ceiling is the most that a plugin is granted. The zero value grants nothing.
type Ceiling struct {
	Permissions hook.Permission
	Payload     bool // it may see what packets carry
}

// TrustedKey says which plugins an author may sign.
type TrustedKey struct {
	Name    string // of the author, for people
	Key     PublicKey
	IDs     []string // "org.example.fec", "org.example.*" for all below org.example, "*" for all
	Ceiling Ceiling
	Expires time.Time // zero = never
}

// A Pin is one package that may run whoever signed it, or nobody.
type Pin struct {
	Digest  Digest
	Ceiling Ceiling
	Note    string // for people
}

// A Validator is somebody who looks at plugins of others, and signs what was found.
type Validator struct {
	Name    string // as formulas name it
	Key     PublicKey
	Expires time.Time // zero = never
}

// A Requirement is something that validators must have found of every plugin that is not pinned.
type Requirement struct {
	Claim string // as in "reproduced"
	By    *Formula
}

// ParseTrust reads a trust file. The error is an [*Error] that names file.
func ParseTrust(file string, text []byte) (*Trust, error) {
	if len(text) > maxTrustFile {
		return nil, refuse(file, "", "has %d bytes, at most %d are allowed", len(text), maxTrustFile)
	}
	v, err := parseJSON(text)
	if err != nil {
		return nil, badJSON(file, "", text, err)
	}
	d := &decoder{file: file}
	t := d.trust(v)
	if d.err != nil {
		return nil, d.err
	}
	return t, nil
}

func (d *decoder) trust(v any) *Trust {
	t := &Trust{}
	o := d.object("", v)
	o.each("keys", maxKeys, func(path string, v any) {
		t.Keys = append(t.Keys, d.trustedKey(path, v))
	})
	o.each("pins", maxPins, func(path string, v any) {
		t.Pins = append(t.Pins, d.pin(path, v))
	})
	o.each("validators", maxValidators, func(path string, v any) {
		t.Validators = append(t.Validators, d.validator(path, v))
	})
	twice(d, "pins", "digest", t.Pins, func(p *Pin) Digest { return p.Digest })
	twice(d, "validators", "name", t.Validators, func(v *Validator) string { return v.Name })
	// One holder under two names would make two of the validators that a formula counts.
	twice(d, "validators", "key", t.Validators, func(v *Validator) PublicKey { return v.Key })
	o.each("require", maxRequire, func(path string, v any) {
		t.Require = append(t.Require, d.requirement(path, v, t.validatorNames()))
	})
	twice(d, "require", "claim", t.Require, func(r *Requirement) string { return r.Claim })
	o.close()
	return t
}

func (t *Trust) validatorNames() []string {
	names := make([]string, len(t.Validators))
	for i := range t.Validators {
		names[i] = t.Validators[i].Name
	}
	return names
}

func (d *decoder) trustedKey(path string, v any) (k TrustedKey) {
	o := d.object(path, v)
	for _, name := range []string{"name", "key", "ids"} {
		o.must(name)
	}
	k.Name = o.name("name")
	k.Key = word(o, "key", wantKey, ParsePublicKey, nil)
	o.each("ids", maxGlobs, func(path string, v any) {
		glob := d.text(path, v, hook.MaxIDLen)
		if !isGlob(glob) {
			d.fail(path, `%q, want an id, "*", or one that ends in ".*" such as "org.example.*"`, clip(glob))
		}
		k.IDs = append(k.IDs, glob)
	})
	if len(k.IDs) == 0 {
		d.fail(o.at("ids"), `is empty: no plugin could be of this key; want ids, or "*"`)
	}
	k.Ceiling.Permissions, k.Ceiling.Payload = d.rights(o)
	k.Expires = o.time("expires")
	o.close()
	return k
}

const wantKey = `public key (want "ed25519:" and 43 characters)`

func (d *decoder) pin(path string, v any) (p Pin) {
	o := d.object(path, v)
	o.must("digest")
	p.Digest = word(o, "digest", "digest (want 64 hexadecimal digits)", ParseDigest, nil)
	p.Ceiling.Permissions, p.Ceiling.Payload = d.rights(o)
	p.Note = o.text("note", maxDescription)
	o.close()
	return p
}

func (d *decoder) validator(path string, v any) (val Validator) {
	o := d.object(path, v)
	o.must("name")
	o.must("key")
	val.Name = o.name("name")
	val.Key = word(o, "key", wantKey, ParsePublicKey, nil)
	val.Expires = o.time("expires")
	o.close()
	return val
}

func (d *decoder) requirement(path string, v any, validators []string) (r Requirement) {
	o := d.object(path, v)
	o.must("claim")
	o.must("by")
	r.Claim = o.text("claim", maxClaim)
	by := o.text("by", maxFormula)
	o.close()
	if d.err != nil {
		return r
	}
	if !isClaim(r.Claim) {
		d.fail(o.at("claim"), "%q is no claim: want a-z, 0-9 and \"-._:<=>*\", a letter first", clip(r.Claim))
	}
	var err error
	if r.By, err = ParseFormula(by); err != nil {
		d.fail(o.at("by"), "%v", err)
		return r
	}
	for _, name := range r.By.Names() {
		if !slices.Contains(validators, name) {
			d.fail(o.at("by"), "%q is no validator of this file%s", clip(name), didYouMean(name, validators))
		}
	}
	return r
}

// time reads an instant (RFC 3339); zero when the field is not there.
func (o *object) time(name string) time.Time {
	s := o.text(name, maxName)
	if _, ok := o.fields[name]; !ok || o.d.err != nil {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.Year() < 1 || t.Year() > 9999 || t.IsZero() {
		o.d.fail(o.at(name), `%q, want an instant such as "2027-01-01T00:00:00Z"`, clip(s))
		return time.Time{}
	}
	return t.UTC().Truncate(time.Second)
}

// isGlob reports whether s is an id, or one with "*" in the place of its last labels.
func isGlob(s string) bool {
	if s == "*" || isID(s) {
		return true
	}
	prefix, ok := strings.CutSuffix(s, ".*")
	return ok && (isID(prefix) || isLabel(prefix))
}

// matches reports whether a glob covers an id. "org.example.*" does not cover "org.example", nor "org.example2.x".
func matches(glob, id string) bool {
	prefix, ok := strings.CutSuffix(glob, "*")
	return glob == id || ok && strings.HasPrefix(id, prefix)
}

// Text returns t as [ParseTrust] reads it, indented for people. It is the same for the same t.
func (t *Trust) Text() []byte {
	top := tree{}
	top.list("keys", mapped(t.Keys, func(k *TrustedKey) any {
		f := tree{"name": k.Name, "key": k.Key.String(), "ids": list(k.IDs)}
		f.rights(k.Ceiling.Permissions, k.Ceiling.Payload)
		f.time("expires", k.Expires)
		return f.object()
	}))
	top.list("pins", mapped(t.Pins, func(p *Pin) any {
		f := tree{"digest": p.Digest.String()}
		f.rights(p.Ceiling.Permissions, p.Ceiling.Payload)
		f.text("note", p.Note)
		return f.object()
	}))
	top.list("validators", mapped(t.Validators, func(v *Validator) any {
		f := tree{"name": v.Name, "key": v.Key.String()}
		f.time("expires", v.Expires)
		return f.object()
	}))
	top.list("require", mapped(t.Require, func(r *Requirement) any {
		return map[string]any{"claim": r.Claim, "by": r.By.String()}
	}))
	var out bytes.Buffer
	if err := json.Indent(&out, appendJSON(nil, top.object()), "", "  "); err != nil {
		panic("BUG: our own JSON is none: " + err.Error())
	}
	out.WriteByte('\n')
	return out.Bytes()
}

func (t tree) time(name string, at time.Time) {
	if !at.IsZero() {
		t[name] = at.UTC().Format(time.RFC3339)
	}
}

// LoadTrust reads the trust file at path. One that is not there trusts nobody. One that others may write is refused: they could let their own
// plugins in.
func LoadTrust(path string) (*Trust, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &Trust{}, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode()&0o022 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("%s: others may write it (mode %04o), so it says nothing: look through it, then chmod 600 %[1]s", path, info.Mode().Perm())
	}
	text, err := readAtMost(f, maxTrustFile)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return ParseTrust(filepath.Base(path), text)
}

// Save writes t to path, for its owner only: the whole of it, or nothing. Directories that are missing are made. What [ParseTrust] would refuse
// is not written.
func (t *Trust) Save(path string) error {
	text := t.Text()
	if _, err := ParseTrust(filepath.Base(path), text); err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
