package pack_test

import (
	"bytes"
	"testing"

	"github.com/seed51309289/quiver/plugin/pack"
)

func FuzzManifest(f *testing.F) {
	f.Add([]byte(fecManifest))
	f.Add([]byte(plainManifest))
	f.Add([]byte(`{"id":"\ud83d\ude00"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := pack.ParseManifest("m", text)
		if err != nil {
			wantError(t, err)
			return
		}
		canonical := m.Canonical()
		again, err := pack.ParseManifest("m", canonical)
		if err != nil {
			t.Fatalf("the canonical form is refused: %v\n%s", err, canonical)
		}
		if !bytes.Equal(again.Canonical(), canonical) {
			t.Fatalf("two canonical forms:\n%s\n%s", canonical, again.Canonical())
		}
		config, err := m.Configure(nil)
		if err != nil {
			t.Fatalf("the defaults are refused: %v", err)
		}
		if err := m.CheckConfig(config); err != nil {
			t.Fatalf("the defaults are refused: %v", err)
		}
		pack.CheckSet([]*pack.Manifest{m})
	})
}

func FuzzRead(f *testing.F) {
	b := sealed(f, manifest(f, fecManifest))
	f.Add(b)
	f.Add(sign(f, sign(f, b, key("alice"), ""), key("v1"), "reproduced"))
	f.Add(module(custom("pq.manifest", manifest(f, plainManifest).Canonical()), custom("pq.proof", []byte("x"))))
	tr := trust(f, trustText)
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := pack.Read("p", b, 0)
		if err != nil {
			wantError(t, err)
			return
		}
		signed, err := pack.Sign(b, key("fuzz"), "")
		if err != nil {
			wantError(t, err)
			return
		}
		q, err := pack.Read("p", signed, 0)
		if err != nil || q.Digest != p.Digest {
			t.Fatalf("signed it is another plugin: %v", err)
		}
		if _, err := pack.Judge(q, tr, true, now); err != nil {
			wantError(t, err)
		}
	})
}
