package fec_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/seed51309289/quiver/plugin"
	"github.com/seed51309289/quiver/plugin/pack"
)

// TestTheReadmeHasTheBuildLine: that the file is what the line makes is tested for all plugins together.
func TestTheReadmeHasTheBuildLine(t *testing.T) {
	k, err := pack.ReadFile("fec.wasm", 0)
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if k.Source == nil || !bytes.Contains(readme, []byte(k.Source.Build)) {
		t.Errorf("README.md lacks the exact build line:\n%+v", k.Source)
	}
}

func TestThePackageIsOneThatHostsTake(t *testing.T) {
	k, err := pack.ReadFile("fec.wasm", 0)
	if err != nil {
		t.Fatal(err)
	}
	if k.Manifest.ID != "io.github.seed51309289.quiver.fec" || !k.Manifest.Payload {
		t.Errorf("manifest of %s, payload %v", k.Manifest.ID, k.Manifest.Payload)
	}
	for i, name := range []string{"SOURCE", "REPAIR", "RECOVERED"} {
		if got := k.Manifest.Frames[i].Name; got != name {
			t.Errorf("frame %d is %s, want %s", i, got, name)
		}
	}
	want, err := k.Manifest.Configure(nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := (settings{effort: 40}).bytes(); !bytes.Equal(got, want) {
		t.Errorf("the defaults are %x, the tests think %x", want, got)
	}
	b, err := os.ReadFile("fec.wasm")
	if err != nil {
		t.Fatal(err)
	}
	p, err := plugin.Load(t.Context(), "fec.wasm", b, plugin.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
}
