package pack_test

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin/pack"
)

// fecManifest is a manifest that uses every field; tests change one thing in it.
const fecManifest = `{
  "id": "org.example.fec",
  "version": "1.2.0-rc.1+build.007",
  "description": "repairs what was lost – näher am Empfänger",
  "license": "MIT",
  "abi": {"min": "1.0", "max": "1.4"},
  "roles": ["client", "server"],
  "mode": "negotiated",
  "hooks": [
    {"op": "rx_payload", "anchor": "before"},
    {"op": "tx_packet_begin", "anchor": "before", "order": -3},
    {"op": "frame_process", "anchor": "replace"},
    {"op": "frame_write", "anchor": "replace"},
    {"op": "ack_policy", "anchor": "replace", "chain": true},
    {"op": "timer", "anchor": "replace"},
    {"op": "app_call", "anchor": "replace"},
    {"op": "take_event", "anchor": "after"}
  ],
  "frames": [
    {"name": "REPAIR", "ack_eliciting": true, "in_flight": true, "max_len": 1400, "early": true},
    {"name": "SOURCE", "ride_along": true, "max_len": 16}
  ],
  "permissions": ["reserve", "timer", "count", "event", "recovered"],
  "views": ["payload"],
  "weight": 2,
  "limits": {"memory_pages": 32, "fuel": 150000, "timers": 2, "reservations": 8, "reserved_bytes": 16000, "emit": 5, "log_bytes": 100},
  "config": {
    "schema": [
      {"name": "window", "type": "int", "min": 1, "max": 64, "unit": "packets", "description": "source packets"},
      {"name": "scheme", "type": "choice", "choices": ["xor", "rs", "rlc"]},
      {"name": "tail", "type": "bool"}
    ],
    "defaults": {"window": 25, "scheme": "rlc", "tail": true}
  },
  "app_ops": [{"id": 1, "name": "flush", "description": "send repair now"}],
  "metrics": [{"id": 0, "name": "repaired", "type": "counter", "unit": "packets"}, {"id": 7, "name": "window", "type": "gauge"}],
  "requires": ["org.example.base"],
  "conflicts": ["org.example.other-fec"]
}`

// plainManifest declares the least.
const plainManifest = `{"id":"org.example.plain","version":"1.0.0","abi":{"min":"1.0","max":"1.0"},"roles":["server"],"mode":"local","hooks":[{"op":"rtt_sample","anchor":"after"}]}`

// edited returns text with one thing replaced.
func edited(t *testing.T, text, from, to string) string {
	t.Helper()
	if strings.Count(text, from) != 1 {
		t.Fatalf("%q stands %d times in the text that is to be changed, want once", from, strings.Count(text, from))
	}
	return strings.Replace(text, from, to, 1)
}

func manifest(t testing.TB, text string) *pack.Manifest {
	t.Helper()
	m, err := pack.ParseManifest("manifest.json", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// module is a WebAssembly module with those sections, each an id and a payload.
func module(sections ...[]byte) []byte {
	b := []byte("\x00asm\x01\x00\x00\x00")
	for _, s := range sections {
		b = append(b, s...)
	}
	return b
}

// custom is a custom section.
func custom(name string, payload []byte) []byte {
	content := append([]byte{byte(len(name))}, name...)
	content = append(content, payload...)
	return append(binary.AppendUvarint([]byte{0}, uint64(len(content))), content...)
}

// memory is a memory section: one memory of one page.
var memory = []byte{5, 3, 1, 0, 1}

func sealed(t testing.TB, m *pack.Manifest) []byte {
	t.Helper()
	b, err := pack.Seal(module(memory), m, &pack.Source{URL: "https://example.org/fec", Commit: "0a1b", Toolchain: "clang 19", Build: "make fec.wasm"})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func read(t testing.TB, b []byte) *pack.Package {
	t.Helper()
	p, err := pack.Read("fec.wasm", b, 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func sign(t testing.TB, b []byte, key ed25519.PrivateKey, claim string) []byte {
	t.Helper()
	b, err := pack.Sign(b, key, claim)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// key makes the same key from the same name.
func key(name string) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	copy(seed, name)
	return ed25519.NewKeyFromSeed(seed)
}

func public(k ed25519.PrivateKey) pack.PublicKey {
	return pack.PublicKey(k.Public().(ed25519.PublicKey))
}

var all = func() (p hook.Permission) {
	for _, one := range hook.Permissions() {
		p |= one
	}
	return p
}()

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// wantRefusal says that err is an *Error of that sentence.
func wantRefusal(t *testing.T, err error, want string) {
	t.Helper()
	var e *pack.Error
	switch {
	case err == nil:
		t.Errorf("nothing was refused, want %q", want)
	case !errors.As(err, &e):
		t.Errorf("refused with %T, want an *Error: %v", err, err)
	case err.Error() != want:
		t.Errorf("refused with\n  %v\nwant\n  %s", err, want)
	}
}
