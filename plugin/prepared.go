package plugin

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"

	"github.com/seed51309289/quiver/plugin/pack"
	"github.com/seed51309289/quiver/plugin/wasm"
)

// prepared is what the host made of a plugin's code, and what it found out about it. All of it follows from the package, so it can be kept: then
// the next process neither checks, meters nor tries the plugin, of which it knows the digest.
type prepared struct {
	module     []byte // metered, with its state exposed; what the engine compiles
	resettable bool
	shared     layout
}

// preparedVersion is raised when this package makes something else of the same package, or refuses what it did not.
const preparedVersion = 2

const (
	preparedDir  = "metered" // below the directory of compiled code, with which it is bounded and cleared
	preparedHead = "quiver metered 1\n"
	preparedMeta = 1 + 5*4          // bytes before the module: flags and layout
	maxPrepared  = 4 * pack.MaxSize // limit: bytes of a file that are read
	preparedBody = len(preparedHead) + sha256.Size
)

// shelf keeps prepared code in a directory. "" keeps nothing. A file is named for all that it follows from, and has the SHA-256 of that and of what
// is in it: one that is damaged, or another's, is as good as none. Nobody else may be able to write there, as with the machine code beside it.
type shelf string

// key identifies all that prepared code follows from.
type key [sha256.Size]byte

func keyOf(k *pack.Package) (x key) {
	h := sha256.New()
	fmt.Fprintf(h, "%d %d %d %s %v %v %v", preparedVersion, wasm.Version, ABI, builtFrom(), k.Digest, rulesOf(k.Manifest), wasm.DefaultCosts())
	h.Sum(x[:0])
	return x
}

func (s shelf) file(x key) string {
	return filepath.Join(string(s), preparedDir, hex.EncodeToString(x[:]))
}

// builtFrom says which program this is, as far as its build tells: what another one found right is looked at again.
var builtFrom = sync.OnceValue(func() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	text := info.Main.Version + " " + info.GoVersion
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" || s.Key == "vcs.modified" {
			text += " " + s.Value
		}
	}
	for _, m := range info.Deps {
		if m.Path == "github.com/tetratelabs/wazero" {
			text += " " + m.Version + m.Sum
		}
	}
	return text
})

// get returns what was kept of a package, or nil.
func (s shelf) get(k *pack.Package) *prepared {
	if s == "" {
		return nil
	}
	x := keyOf(k)
	name := s.file(x)
	if info, err := os.Lstat(name); err != nil || !info.Mode().IsRegular() || info.Size() > maxPrepared {
		return nil
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil
	}
	return parsePrepared(x, b)
}

// put keeps p, if it can: the next process does without.
func (s shelf) put(k *pack.Package, p *prepared) {
	if s == "" {
		return
	}
	x := keyOf(k)
	name := s.file(x)
	os.MkdirAll(filepath.Dir(name), 0o700)
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*") // with mode 0600
	if err != nil {
		return
	}
	_, err = f.Write(p.bytes(x))
	if closed := f.Close(); err != nil || closed != nil || os.Rename(f.Name(), name) != nil {
		os.Remove(f.Name())
	}
}

func (p *prepared) bytes(x key) []byte {
	body := append([]byte(preparedHead), make([]byte, sha256.Size)...)
	body = append(body, byte(flag(p.resettable, 0)))
	for _, v := range []uint32{p.shared.context, p.shared.rx, p.shared.rxLen, p.shared.tx, p.shared.txLen} {
		body = le.AppendUint32(body, v)
	}
	body = append(body, p.module...)
	sum := sumOf(x, body[preparedBody:])
	copy(body[len(preparedHead):], sum[:])
	return body
}

func sumOf(x key, body []byte) (sum [sha256.Size]byte) {
	h := sha256.New()
	h.Write(x[:])
	h.Write(body)
	h.Sum(sum[:0])
	return sum
}

// parsePrepared returns what bytes wrote, or nil.
func parsePrepared(x key, b []byte) *prepared {
	if len(b) < preparedBody+preparedMeta || string(b[:len(preparedHead)]) != preparedHead {
		return nil
	}
	body := b[preparedBody:]
	if sum := sumOf(x, body); !bytes.Equal(sum[:], b[len(preparedHead):preparedBody]) {
		return nil
	}
	p := &prepared{resettable: body[0]&1 != 0, module: body[preparedMeta:]}
	for n, v := range []*uint32{&p.shared.context, &p.shared.rx, &p.shared.rxLen, &p.shared.tx, &p.shared.txLen} {
		*v = le.Uint32(body[1+4*n:])
	}
	return p
}
