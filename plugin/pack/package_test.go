package pack_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/plugin/pack"
	"github.com/seed51309289/quiver/plugin/wasm"
)

func TestAPackageSaysWhatWasSealed(t *testing.T) {
	m := manifest(t, fecManifest)
	b := sealed(t, m)
	p := read(t, b)
	if !reflect.DeepEqual(p.Manifest, m) {
		t.Errorf("manifest %+v, want %+v", p.Manifest, m)
	}
	want := pack.Source{URL: "https://example.org/fec", Commit: "0a1b", Toolchain: "clang 19", Build: "make fec.wasm"}
	if p.Source == nil || *p.Source != want {
		t.Errorf("source %+v, want %+v", p.Source, want)
	}
	if p.File != "fec.wasm" || !bytes.Equal(p.Raw, b) || p.Signatures != nil {
		t.Errorf("file %q, %d bytes, signatures %v", p.File, len(p.Raw), p.Signatures)
	}
	again, err := pack.Seal(b, m, &want)
	if err != nil || !bytes.Equal(again, b) {
		t.Errorf("sealed again it has other bytes (%v)", err)
	}
}

// TestTheIdentityIsTheHashOfTheFile holds the identity to its definition, so that other tools can compute it.
func TestTheIdentityIsTheHashOfTheFile(t *testing.T) {
	b := sealed(t, manifest(t, plainManifest))
	sum := sha256.Sum256(append([]byte("pq-plugin-v1\x00"), b...))
	if p := read(t, b); p.Digest != sum || p.Digest.String() != hex.EncodeToString(sum[:]) {
		t.Errorf("identity %v, want %x", p.Digest, sum)
	}
	if d, ok := pack.ParseDigest(hex.EncodeToString(sum[:])); !ok || d != sum {
		t.Errorf("ParseDigest gives %v, %v", d, ok)
	}
	for _, s := range []string{"", strings.Repeat("g", 64), strings.Repeat("A", 64), strings.Repeat("0", 63), "../" + strings.Repeat("0", 61)} {
		if _, ok := pack.ParseDigest(s); ok {
			t.Errorf("%q is taken for a digest", s)
		}
	}
}

func TestSignaturesAndProofsAreNoPartOfTheIdentity(t *testing.T) {
	b := sealed(t, manifest(t, plainManifest))
	digest := read(t, b).Digest
	signed := sign(t, sign(t, b, key("alice"), ""), key("bob"), "reproduced")
	proven, err := wasm.WithCustom(signed, "pq.proof", []byte("proof"))
	if err != nil {
		t.Fatal(err)
	}
	bare, err := wasm.WithoutCustom(proven, "pq.sig", "pq.proof")
	if err != nil {
		t.Fatal(err)
	}
	// Some tool may write the sections in another place.
	moved := append(module(custom("pq.proof", nil)), b[8:]...)
	for name, file := range map[string][]byte{"signed": signed, "proven": proven, "bare": bare, "moved": moved} {
		if got := read(t, file).Digest; got != digest {
			t.Errorf("%s: identity %v, want %v", name, got, digest)
		}
	}
	unsigned, n, err := pack.Unsign(signed, public(key("alice")))
	if err != nil || n != 1 || len(read(t, unsigned).Signatures) != 1 {
		t.Errorf("Unsign takes %d signatures away (%v)", n, err)
	}
	if unsigned, _, err = pack.Unsign(unsigned, public(key("bob"))); err != nil || !bytes.Equal(unsigned, b) {
		t.Errorf("without its signatures the package is not what it was (%v)", err)
	}
}

// TestDefect7EveryByteIsPartOfTheIdentity: PQUIC exchanged code without authenticity and integrity, and knew a plugin by a name without a version.
func TestDefect7EveryByteIsPartOfTheIdentity(t *testing.T) {
	b := sign(t, sealed(t, manifest(t, plainManifest)), key("alice"), "")
	p := read(t, b)
	if err := p.Verify(); err != nil {
		t.Fatal(err)
	}
	end := bytes.LastIndex(b, []byte("pq.sig")) - 3 // where the section of the signature begins
	for i := range b {
		for bit := range 8 {
			forged := bytes.Clone(b)
			forged[i] ^= 1 << bit
			q, err := pack.Read("forged.wasm", forged, 0)
			if err != nil {
				continue
			}
			if i < end && q.Digest == p.Digest {
				t.Fatalf("bit %d of byte %d is no part of the identity", bit, i)
			}
			if q.Verify() == nil {
				t.Fatalf("with bit %d of byte %d flipped the signature holds", bit, i)
			}
		}
	}
	next := *p.Manifest
	next.Version = "1.0.1"
	if q := read(t, sealed(t, &next)); q.Digest == p.Digest {
		t.Error("another version has the same identity")
	}
}

func TestASignatureOfOnePluginIsNoneOfAnother(t *testing.T) {
	a := read(t, sign(t, sealed(t, manifest(t, plainManifest)), key("alice"), "reproduced"))
	b := read(t, sealed(t, manifest(t, fecManifest)))
	s := a.Signatures[0]
	if !s.Holds(a.Digest) || s.Holds(b.Digest) {
		t.Error("a signature holds for the wrong plugin")
	}
	s.Claim = "reproduce"
	if s.Holds(a.Digest) {
		t.Error("a signature holds for another claim")
	}
	s.Claim = ""
	if s.Holds(a.Digest) {
		t.Error("a validator's note holds as an author's signature")
	}
}

func TestStrippingAPackageLeavesItsIdentity(t *testing.T) {
	raw := module(memory, custom("name", []byte("functions")), custom(".debug_info", []byte("lines")), custom("producers", []byte("clang")))
	b, err := pack.Seal(raw, manifest(t, fecManifest), nil)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(b, []byte("clang")) || bytes.Contains(b, []byte(".debug_info")) {
		t.Error("Seal left what strip tools drop")
	}
	signed := sign(t, b, key("alice"), "")
	strip, err := exec.LookPath("llvm-strip")
	if err != nil {
		t.Skip("no llvm-strip here: what it drops was dropped")
	}
	path := filepath.Join(t.TempDir(), "fec.wasm")
	if err := os.WriteFile(path, signed, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(strip, path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	p, err := pack.ReadFile(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Verify(); err != nil || p.Digest != read(t, signed).Digest {
		t.Errorf("stripped it is another plugin: %v", err)
	}
}

func TestABrokenPackageIsRefused(t *testing.T) {
	canonical := string(manifest(t, plainManifest).Canonical())
	good := custom("pq.manifest", []byte(canonical))
	signature := sign(t, module(good), key("alice"), "")[8+len(good):]
	payload := signature[len(signature)-98:] // the format, 32 of key, 1 of length, 64 of signature
	note := func(claim string) []byte {
		b := append(bytes.Clone(payload[:33]), byte(len(claim)))
		return append(append(b, claim...), payload[34:]...)
	}
	many := []byte{1}
	for i := range pack.MaxSignatures + 1 {
		many = append(many, note(fmt.Sprintf("c%d", i))[1:]...)
	}
	for _, tc := range []struct {
		name string
		file []byte
		want string
	}{
		{"nothing", nil, `a.wasm: no WebAssembly module: want it to begin with "\0asm"`},
		{"text", []byte("hello"), `a.wasm: no WebAssembly module: want it to begin with "\0asm"`},
		{"too large", append(module(), make([]byte, pack.MaxSize)...), `a.wasm: has 262152 bytes, at most 262144 are allowed`},
		{"no manifest", module(memory), `a.wasm: pq.manifest: is missing: a WebAssembly module, but no plugin yet`},
		{"two manifests", module(good, good), `a.wasm: pq.manifest: is there twice`},
		{"section of another time", module(good, custom("pq.policy", nil)), `a.wasm: section "pq.policy" is unknown`},
		{"manifest with white space", module(custom("pq.manifest", []byte(" "+canonical))), `a.wasm: pq.manifest: not canonical at byte 0: want sorted fields, no white space, and nothing that says the default`},
		{"manifest in another order", module(custom("pq.manifest", []byte(plainManifest))), `a.wasm: pq.manifest: not canonical at byte 2: want sorted fields, no white space, and nothing that says the default`},
		{"manifest that says the default", module(custom("pq.manifest", []byte(strings.Replace(canonical, `"mode"`, `"license":"","mode"`, 1)))), `a.wasm: pq.manifest: not canonical at byte 106: want sorted fields, no white space, and nothing that says the default`},
		{"manifest that escapes needlessly", module(custom("pq.manifest", []byte(strings.Replace(canonical, `plain`, `pla\u0069n`, 1)))), `a.wasm: pq.manifest: not canonical at byte 101: want sorted fields, no white space, and nothing that says the default`},
		{"manifest that is no JSON", module(custom("pq.manifest", []byte("org.example.plain"))), `a.wasm: pq.manifest: line 1, column 1: want a JSON value`},
		{"source with unknown field", module(good, custom("pq.src", []byte(`{"host":"x"}`))), `a.wasm: pq.src.host: no such field`},
		{"source that is not canonical", module(good, custom("pq.src", []byte(`{"url":"x","commit":"y"}`))), `a.wasm: pq.src: not canonical: want sorted fields, no white space and no empty ones`},
		{"source too long", module(good, custom("pq.src", make([]byte, pack.MaxSource+1))), `a.wasm: pq.src: has 8193 bytes, at most 8192 are allowed`},
		{"signatures of another format", module(good, custom("pq.sig", []byte{2})), `a.wasm: pq.sig: want it to begin with the byte 1: it is of another format`},
		{"empty signatures", module(good, custom("pq.sig", nil)), `a.wasm: pq.sig: want it to begin with the byte 1: it is of another format`},
		{"no signatures", module(good, custom("pq.sig", []byte{1})), `a.wasm: pq.sig: is empty`},
		{"signature twice", module(good, custom("pq.sig", append(bytes.Clone(payload), payload[1:]...))), `a.wasm: pq.sig[1]: is there twice`},
		{"too many signatures", module(good, custom("pq.sig", many)), `a.wasm: pq.sig[16]: more than 16 signatures`},
		{"claim in capitals", module(good, custom("pq.sig", note("Good"))), `a.wasm: pq.sig[0]: "Good" is no claim`},
		{"claim with an escape sequence", module(good, custom("pq.sig", note("a\x1b[2J"))), `a.wasm: pq.sig[0]: "a\x1b[2J" is no claim`},
		{"claim too long", module(good, custom("pq.sig", note(strings.Repeat("a", 65)))), `a.wasm: pq.sig[0]: "` + strings.Repeat("a", 48) + `…" is no claim`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := pack.Read("a.wasm", tc.file, 0)
			wantRefusal(t, err, tc.want)
		})
	}
}

// TestDefect5LengthsAreCheckedBeforeBytesAreTaken: PQUIC copied before it looked at the bound, and relied on terminators that nobody sent.
func TestDefect5LengthsAreCheckedBeforeBytesAreTaken(t *testing.T) {
	b := sign(t, sign(t, sealed(t, manifest(t, fecManifest)), key("alice"), ""), key("bob"), "reproduced")
	for i := range b {
		p, err := pack.Read("cut.wasm", b[:i:i], 0)
		if err == nil && p.Signatures != nil {
			t.Fatalf("the first %d of %d bytes are taken for the whole", i, len(b))
		}
	}
	good := custom("pq.manifest", manifest(t, plainManifest).Canonical())
	one := sign(t, module(good), key("alice"), "")
	payload := one[len(one)-98:]
	for i := 1; i < len(payload); i++ {
		_, err := pack.Read("a.wasm", module(good, custom("pq.sig", payload[:i])), 0)
		if i == 1 {
			wantRefusal(t, err, "a.wasm: pq.sig: is empty")
			continue
		}
		wantRefusal(t, err, "a.wasm: pq.sig[0]: ends too early")
	}
	for n := range 256 {
		if n == 0 {
			continue
		}
		lying := bytes.Clone(payload)
		lying[33] = byte(n) // the length of a claim that is not there
		_, err := pack.Read("a.wasm", module(good, custom("pq.sig", lying)), 0)
		wantRefusal(t, err, "a.wasm: pq.sig[0]: ends too early")
	}
}

// TestDefect6APackageHasNoNamesToTraverse: PQUIC's plugins were archives, whose entries named files anywhere, with any permissions, and whose size nobody
// bounded. A package is one file; what it calls itself is an id that has no separators, and its size is bounded on every way in.
func TestDefect6APackageHasNoNamesToTraverse(t *testing.T) {
	for _, id := range []string{"../../etc/passwd", "org/example", `org\example`, "org..example", "/org.example", "org.example/..", ".org.example", "org.example.", "org.ex\x00ample", "c:.org"} {
		m := *manifest(t, plainManifest)
		m.ID = id
		_, err := pack.Seal(module(), &m, nil)
		var e *pack.Error
		if !errors.As(err, &e) || e.Field != "id" {
			t.Errorf("sealing a plugin named %q: %v, want a refusal of its id", id, err)
		}
	}
	m := *manifest(t, plainManifest)
	m.Version = "1.0.0/../../x"
	_, err := pack.Seal(module(), &m, nil)
	wantRefusal(t, err, `org.example.plain: version: "1.0.0/../../x", want a semantic version such as "1.0.0"`)

	full := append(module(custom("pq.manifest", manifest(t, plainManifest).Canonical())), 0)
	rest := pack.MaxSize - len(full) - 3
	full = append(full, byte(rest)|0x80, byte(rest>>7)|0x80, byte(rest>>14))
	full = append(full, 1, 'x')
	full = append(full, make([]byte, rest-2)...)
	if p := read(t, full); len(p.Raw) != pack.MaxSize {
		t.Fatalf("made %d bytes, want %d", len(p.Raw), pack.MaxSize)
	}
	if _, err := pack.Sign(full, key("alice"), ""); err == nil {
		t.Error("a signature made a package larger than the largest")
	}
	path := filepath.Join(t.TempDir(), "big.wasm")
	if err := os.WriteFile(path, append(full, 0), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = pack.ReadFile(path, 0)
	wantRefusal(t, err, "big.wasm: has more than 262144 bytes")
}

func TestAPluginFileEndsInWasm(t *testing.T) {
	_, err := pack.ReadFile("/dev/zero", 0)
	wantRefusal(t, err, `zero: want the name of a plugin to end in ".wasm"`)
}

func TestSealRefusesWhatReadWouldRefuse(t *testing.T) {
	m := *manifest(t, fecManifest)
	m.Permissions = 0
	_, err := pack.Seal(module(), &m, nil)
	wantRefusal(t, err, `org.example.fec: hooks[5].op: timer would never be called without the permission "timer"`)
	m = *manifest(t, fecManifest)
	m.Config[1].Default = 3
	_, err = pack.Seal(module(), &m, nil)
	wantRefusal(t, err, `org.example.fec: config.defaults.scheme: "" is no choice, want one of xor, rs, rlc`)
	if _, err := pack.Seal([]byte("text"), &m, nil); err == nil {
		t.Error("text was sealed")
	}
}

func TestSigningTwiceIsSigningOnce(t *testing.T) {
	b := sealed(t, manifest(t, plainManifest))
	once := sign(t, b, key("alice"), "")
	if twice := sign(t, once, key("alice"), ""); !bytes.Equal(once, twice) {
		t.Error("a second signature of the same key was added")
	}
	for i := range pack.MaxSignatures {
		b = sign(t, b, key(fmt.Sprint(i)), "reproduced")
	}
	_, err := pack.Sign(b, key("alice"), "")
	wantRefusal(t, err, "pq.sig: has 16 signatures already, which is the most")
	_, err = pack.Sign(b, key("alice"), "Looks Good")
	wantRefusal(t, err, `claim: "Looks Good", want up to 64 of a-z, 0-9 and "-._:<=>*" that begin with a letter`)
	if err := read(t, b).Verify(); err != nil {
		t.Error(err)
	}
	err = read(t, sealed(t, manifest(t, plainManifest))).Verify()
	wantRefusal(t, err, `fec.wasm: pq.sig: is unsigned: "quiver plugin sign" signs it`)
}
