package cache_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin/cache"
	"github.com/seed51309289/quiver/plugin/pack"
)

// plugin makes a package: org.example.pN at version 1.0.N, with a data section of that many bytes.
func plugin(n, size int) []byte {
	m := &pack.Manifest{
		ID: fmt.Sprintf("org.example.p%d", n), Version: fmt.Sprintf("1.0.%d", n),
		ABI: pack.ABIRange{Min: 0x10000, Max: 0x10000}, Roles: pack.Client, Mode: hook.Local,
		Hooks: []hook.HookDecl{{Op: hook.OpRTTSample, Anchor: hook.After}},
	}
	module := binary.AppendUvarint([]byte("\x00asm\x01\x00\x00\x00\x00"), uint64(size+2))
	module = append(module, 1, 'x')
	module = append(module, bytes.Repeat([]byte{byte(n)}, size)...)
	b, err := pack.Seal(module, m, nil)
	if err != nil {
		panic(err)
	}
	return b
}

func digest(b []byte) pack.Digest {
	d, err := pack.DigestOf(b)
	if err != nil {
		panic(err)
	}
	return d
}

func signed(b []byte, name string) []byte {
	seed := make([]byte, ed25519.SeedSize)
	copy(seed, name)
	b, err := pack.Sign(b, ed25519.NewKeyFromSeed(seed), "")
	if err != nil {
		panic(err)
	}
	return b
}

func open(t *testing.T, dir string, o cache.Options) *cache.Cache {
	t.Helper()
	c, err := cache.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// clock is a clock that each look moves on by a second.
func clock() func() time.Time {
	at := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	return func() time.Time {
		at = at.Add(time.Second)
		return at
	}
}

func put(t *testing.T, c *cache.Cache, packages ...[]byte) {
	t.Helper()
	for _, b := range packages {
		if _, err := c.Put(b); err != nil {
			t.Fatal(err)
		}
	}
}

// wantIDs says which packages are in c, those used last first.
func wantIDs(t *testing.T, c *cache.Cache, want ...string) {
	t.Helper()
	list, err := c.List()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range list {
		got = append(got, e.ID[len("org.example."):])
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the cache holds %v, want %v", got, want)
	}
}

func fileOf(c *cache.Cache, b []byte) string {
	return filepath.Join(c.Dir(), "sha256", digest(b).String()+".wasm")
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
