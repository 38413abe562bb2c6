package inspect_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed51309289/quiver/plugin/inspect"
	"github.com/seed51309289/quiver/plugin/pack"
	"github.com/seed51309289/quiver/plugin/sdk"
	"github.com/seed51309289/quiver/plugin/wat"
)

// sealed returns the package of a template in text, after edit changed its manifest.
func sealed(t *testing.T, kind string, edit func(m *pack.Manifest)) []byte {
	t.Helper()
	l, err := sdk.Find("wat")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "mine")
	if _, err := sdk.Create(dir, l, kind, "org.example.mine"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "plugin.wat"))
	if err != nil {
		t.Fatal(err)
	}
	module, err := wat.Assemble("plugin.wat", text)
	if err != nil {
		t.Fatal(err)
	}
	if text, err = os.ReadFile(filepath.Join(dir, "manifest.json")); err != nil {
		t.Fatal(err)
	}
	m, err := pack.ParseManifest("manifest.json", text)
	if err != nil {
		t.Fatal(err)
	}
	if edit != nil {
		edit(m)
	}
	b, err := pack.Seal(module, m, &pack.Source{URL: "https://example.org/mine", Toolchain: "by hand"})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func facts(t *testing.T, b []byte, trust *pack.Trust) *inspect.Facts {
	t.Helper()
	p, err := pack.Read("mine.wasm", b, 0)
	if err != nil {
		t.Fatal(err)
	}
	f, err := inspect.Of(p, trust, time.Unix(1_700_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func wantLines(t *testing.T, text string, want ...string) {
	t.Helper()
	squeezed := map[string]bool{}
	for line := range strings.Lines(text) {
		squeezed[strings.Join(strings.Fields(line), " ")] = true
	}
	for _, line := range want {
		if !squeezed[line] {
			t.Errorf("no line %q in:\n%s", line, text)
		}
	}
}

func TestFactsTellWhatAPluginMayDoAndWhatItCosts(t *testing.T) {
	key, err := pack.GenerateKey(bytes.NewReader(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := pack.Sign(sealed(t, "cc", nil), key, "")
	if err != nil {
		t.Fatal(err)
	}
	public := pack.PublicKey(key.Public().(ed25519.PublicKey))
	trust := &pack.Trust{Keys: []pack.TrustedKey{{Name: "alice", Key: public, IDs: []string{"org.example.*"}}}}
	f := facts(t, signed, trust)
	var text bytes.Buffer
	if err := f.Write(&text); err != nil {
		t.Fatal(err)
	}
	id := public.ID().String()
	wantLines(t, text.String(),
		"plugin org.example.mine 0.1.0",
		"permissions none",
		"hooks cc_init (replace)",
		"cc_loss (replace)",
		"limits 128 KiB of memory, 50000 fuel a call, 16 timers",
		"source https://example.org/mine",
		"signatures key "+id+" of alice",
		"asked here runs: key alice ("+id+")",
		"offered by a peer runs: key alice ("+id+")",
	)
	if call, ok := f.Code.Function("pq_call"); !ok || !call.Bounded || call.Worst == 0 {
		t.Errorf("pq_call costs %+v, want a bound", call)
	}
	if f.Code.Size != f.Size || f.Packed == 0 || f.Packed >= f.Size {
		t.Errorf("size %d, of code %d, packed %d", f.Size, f.Code.Size, f.Packed)
	}
}

func TestFactsOfAStrangerSayWhyItIsRefused(t *testing.T) {
	f := facts(t, sealed(t, "telemetry", nil), &pack.Trust{})
	for _, v := range f.Verdicts {
		if v.Runs || !strings.Contains(v.Because, "mine.wasm") {
			t.Errorf("%s: %+v, want a refusal that names the file", v.When, v)
		}
	}
	if len(f.Signatures) != 0 {
		t.Errorf("signatures %v, want none", f.Signatures)
	}
}

func TestFactsAreForProgramsToo(t *testing.T) {
	text, err := json.Marshal(facts(t, sealed(t, "cc", nil), &pack.Trust{}))
	if err != nil {
		t.Fatal(err)
	}
	var back struct {
		Digest   string
		Manifest struct{ ID string }
		Limits   struct{ Fuel int }
		Code     struct{ Functions []struct{ Name string } }
	}
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if len(back.Digest) != 64 || back.Manifest.ID != "org.example.mine" || back.Limits.Fuel != 50000 || len(back.Code.Functions) == 0 {
		t.Errorf("JSON says %+v", back)
	}
}

func TestADifferenceInPermissionsComesFirst(t *testing.T) {
	was := facts(t, sealed(t, "cc", nil), &pack.Trust{})
	now := facts(t, sealed(t, "telemetry", func(m *pack.Manifest) { m.Version = "0.2.0" }), &pack.Trust{})
	var text bytes.Buffer
	if err := inspect.WriteDiff(&text, inspect.Diff(was, now)); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(text.String(), "+ permission ") {
		t.Errorf("the difference begins with something else than permissions:\n%s", text.String())
	}
	wantLines(t, text.String(), "- hook cc_ack (replace)", "~ version: 0.2.0, was 0.1.0")
	if changes := inspect.Diff(was, was); len(changes) != 0 {
		t.Errorf("a package differs from itself: %v", changes)
	}
}

func TestWordsOfStrangersMoveNoCursor(t *testing.T) {
	var text bytes.Buffer
	f := facts(t, sealed(t, "cc", nil), &pack.Trust{})
	f.Source.Build = "make \x1b[2Jx"
	if err := f.Write(&text); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text.String(), "\x1b") {
		t.Errorf("an escape got through:\n%q", text.String())
	}
}
