package pack

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed51309289/quiver/plugin/wasm"
)

// Sizes of packages.
const (
	// MaxSize is how many bytes a package has. limit: what reading one can cost in memory.
	MaxSize = 256 << 10
	// MaxPacked is how many bytes it has when it travels in a connection. limit: what a peer may send for one plugin.
	MaxPacked = 64 << 10

	maxSource = 8 << 10 // limit: bytes of pq.src
)

// The custom sections of a package.
const (
	sectionManifest = "pq.manifest"
	sectionSource   = "pq.src"
	sectionSig      = "pq.sig"
	sectionProof    = "pq.proof"
	sectionPrefix   = "pq."
)

// digestDomain keeps the identity of a plugin apart from every other hash.
const digestDomain = "pq-plugin-v1\x00"

// A Digest is the identity of a package.
type Digest [sha256.Size]byte

// String returns 64 hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// ParseDigest reads what [Digest.String] writes.
func ParseDigest(s string) (d Digest, ok bool) {
	if len(s) != hex.EncodedLen(len(d)) || strings.Trim(s, "0123456789abcdef") != "" {
		return d, false
	}
	_, err := hex.Decode(d[:], []byte(s))
	return d, err == nil
}

// DigestOf returns the identity of a package file. It looks at nothing but the borders of the sections of b; an error says that b is no
// WebAssembly module.
func DigestOf(b []byte) (d Digest, err error) {
	rest, err := wasm.WithoutCustom(b, sectionSig, sectionProof)
	if err != nil {
		return d, err
	}
	h := sha256.New()
	io.WriteString(h, digestDomain)
	h.Write(rest)
	h.Sum(d[:0])
	return d, nil
}

// A Package is a plugin as it is stored and sent.
type Package struct {
	File       string // as the caller named it
	Raw        []byte // the whole file; nobody may change it
	Digest     Digest
	Manifest   *Manifest
	Source     *Source // nil if it does not say where it comes from
	Signatures []Signature
}

// Read reads a package of at most limit bytes (0 = [MaxSize]). file names it in errors, which are an [*Error]. The package keeps b, which
// must not change any more. No signature is checked: see [Package.Verify] and [Judge].
func Read(file string, b []byte, limit int) (*Package, error) {
	if limit == 0 {
		limit = MaxSize
	}
	if len(b) > limit {
		return nil, refuse(file, "", "has %d bytes, at most %d are allowed", len(b), limit)
	}
	if !bytes.HasPrefix(b, []byte("\x00asm")) {
		return nil, refuse(file, "", "no WebAssembly module: want it to begin with \"\\0asm\"")
	}
	parts, err := readSections(file, b)
	if err != nil {
		return nil, err
	}
	text, ok := parts[sectionManifest]
	if !ok {
		return nil, refuse(file, sectionManifest, "is missing: a WebAssembly module, but no plugin yet")
	}
	p := &Package{File: file, Raw: b}
	if p.Manifest, err = readCanonical(file, text); err != nil {
		return nil, err
	}
	if text, ok := parts[sectionSource]; ok {
		if p.Source, err = readSource(file, text); err != nil {
			return nil, err
		}
	}
	if p.Signatures, err = readSignatures(file, parts[sectionSig]); err != nil {
		return nil, err
	}
	if p.Digest, err = DigestOf(b); err != nil {
		return nil, refuse(file, "", "%v", err)
	}
	return p, nil
}

// readSections returns the payloads of our sections by name. It refuses names that begin like ours and are not: what they say may matter.
func readSections(file string, b []byte) (map[string][]byte, error) {
	sections, err := wasm.Customs(b)
	if err != nil {
		return nil, refuse(file, "", "%v", err)
	}
	parts := map[string][]byte{}
	for _, s := range sections {
		if !strings.HasPrefix(s.Name, sectionPrefix) {
			continue
		}
		switch s.Name {
		case sectionManifest, sectionSource, sectionSig, sectionProof:
		default:
			return nil, refuse(file, "", "section %q is unknown", clip(s.Name))
		}
		if _, twice := parts[s.Name]; twice {
			return nil, refuse(file, s.Name, "is there twice")
		}
		parts[s.Name] = s.Payload(b)
	}
	return parts, nil
}

// ReadFile reads the package in a file of at most limit bytes (0 = [MaxSize]), whose name must end in ".wasm". The error is an [*Error], or
// says why the file cannot be read.
func ReadFile(path string, limit int) (*Package, error) {
	if limit == 0 {
		limit = MaxSize
	}
	name := filepath.Base(path)
	if filepath.Ext(name) != ".wasm" {
		return nil, refuse(name, "", "want the name of a plugin to end in \".wasm\"")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := readAtMost(f, limit)
	if err != nil {
		return nil, refuse(name, "", "%v", err)
	}
	return Read(name, b, limit)
}

// readAtMost reads all of r, or refuses more than limit bytes.
func readAtMost(r io.Reader, limit int) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err == nil && len(b) > limit {
		return nil, fmt.Errorf("has more than %d bytes", limit)
	}
	return b, err
}

// A Source says where a plugin was built from, so that others can build it again.
type Source struct {
	URL       string
	Commit    string
	Toolchain string
	Build     string // the exact command line
}

func (s *Source) fields() []*string { return []*string{&s.Build, &s.Commit, &s.Toolchain, &s.URL} }

var sourceFields = []string{"build", "commit", "toolchain", "url"}

func (s *Source) canonical() []byte {
	t := tree{}
	for i, value := range s.fields() {
		t.text(sourceFields[i], *value)
	}
	return appendJSON(nil, t.object())
}

func readSource(file string, text []byte) (*Source, error) {
	if len(text) > maxSource {
		return nil, refuse(file, sectionSource, "has %d bytes, at most %d are allowed", len(text), maxSource)
	}
	v, err := parseJSON(text)
	if err != nil {
		return nil, badJSON(file, sectionSource, text, err)
	}
	d := &decoder{file: file}
	o := d.object(sectionSource, v)
	s := &Source{}
	for i, value := range s.fields() {
		*value = o.text(sourceFields[i], maxSource)
	}
	o.close()
	switch {
	case d.err != nil:
		return nil, d.err
	case !bytes.Equal(text, s.canonical()):
		return nil, refuse(file, sectionSource, "not canonical: want sorted fields, no white space and no empty ones")
	}
	return s, nil
}

// Seal makes a package of a module, its manifest, and where it was built from, which may be nil. Sections of an earlier package are replaced,
// signatures dropped. Also dropped is what strip tools drop (names, producers, debugging), and section sizes are written as they write them, so
// that llvm-strip leaves a package its identity. The result is the same for the same input, and [Read] takes it. The error is an [*Error], or that of package wasm.
func Seal(module []byte, m *Manifest, src *Source) ([]byte, error) {
	sections, err := wasm.Customs(module)
	if err != nil {
		return nil, err
	}
	var drop []string
	for _, s := range sections {
		if stripped(s.Name) || strings.HasPrefix(s.Name, sectionPrefix) {
			drop = append(drop, s.Name)
		}
	}
	b, err := wasm.WithoutCustom(module, drop...)
	if err != nil {
		return nil, err
	}
	if b, err = wasm.WithCustom(b, sectionManifest, m.Canonical()); err != nil {
		return nil, err
	}
	if src != nil {
		if b, err = wasm.WithCustom(b, sectionSource, src.canonical()); err != nil {
			return nil, err
		}
	}
	b = padded(b)
	if _, err := Read(m.ID, b, 0); err != nil {
		return nil, err
	}
	return b, nil
}

// padded returns the module b with every section size in five bytes, as linkers leave room for any: some strip tools write all of them so, the
// others leave them.
func padded(b []byte) []byte {
	const header = 8
	out := append(make([]byte, 0, len(b)+64), b[:header]...)
	for rest := b[header:]; len(rest) > 0; {
		size, n := binary.Uvarint(rest[1:])
		content := rest[1+n : 1+n+int(size)]
		out = append(out, rest[0], byte(size)|0x80, byte(size>>7)|0x80, byte(size>>14)|0x80, byte(size>>21)|0x80, byte(size>>28))
		out = append(out, content...)
		rest = rest[1+n+int(size):]
	}
	return out
}

// stripped reports whether a strip tool drops a section: it says nothing that running needs.
func stripped(name string) bool {
	switch name {
	case "name", "producers", "target_features", "linking", "sourceMappingURL", "external_debug_info", "build_id":
		return true
	}
	return strings.HasPrefix(name, ".debug_") || strings.HasPrefix(name, "reloc.")
}

// Verify checks every signature of p. An error names the first that does not hold, or says that there is none. That all hold says nothing
// about whose they are: see [Judge].
func (p *Package) Verify() error {
	if len(p.Signatures) == 0 {
		return p.refuse(ErrUnsigned, sectionSig, "is unsigned: \"quiver plugin sign\" signs it")
	}
	for i := range p.Signatures {
		if s := &p.Signatures[i]; !s.Holds(p.Digest) {
			return p.refuse(ErrSignature, fmt.Sprintf("%s[%d]", sectionSig, i), "the signature of key %v does not hold: the file is not what was signed", s.Key.ID())
		}
	}
	return nil
}
