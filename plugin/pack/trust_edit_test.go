package pack_test

import (
	"path/filepath"
	"testing"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin/pack"
)

func TestTrustIsChangedOneKeyAndOnePinAtATime(t *testing.T) {
	alice, bob := pack.PublicKey{1}, pack.PublicKey{2}
	trust := &pack.Trust{}
	trust.TrustKey(pack.TrustedKey{Name: "alice", Key: alice, IDs: []string{"org.example.*"}})
	trust.TrustKey(pack.TrustedKey{Name: "bob", Key: bob, IDs: []string{"*"}})
	trust.TrustKey(pack.TrustedKey{Name: "alice", Key: alice, IDs: []string{"org.example.fec"}, Ceiling: pack.Ceiling{Permissions: hook.MayReserve}})
	trust.Pin(pack.Pin{Digest: pack.Digest{7}, Note: "old"})
	trust.Pin(pack.Pin{Digest: pack.Digest{7}, Note: "new"})
	path := filepath.Join(t.TempDir(), "deep", "trust")
	if err := trust.Save(path); err != nil {
		t.Fatal(err)
	}
	trust, err := pack.LoadTrust(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(trust.Keys) != 2 || len(trust.Pins) != 1 || trust.Pins[0].Note != "new" {
		t.Fatalf("trust file holds\n%s\nwant each key and pin once, as said last", trust.Text())
	}
	if got := trust.Keys[1]; got.Name != "alice" || got.IDs[0] != "org.example.fec" || got.Ceiling.Permissions != hook.MayReserve {
		t.Errorf("alice is trusted with %+v, want what was said last", got)
	}
}

func TestWhatIsForgottenIsMeantByNameKeyOrDigest(t *testing.T) {
	alice := pack.PublicKey{1}
	for _, word := range []string{"alice", alice.ID().String(), alice.String(), pack.Digest{7}.String(), "carol"} {
		trust := &pack.Trust{
			Keys: []pack.TrustedKey{{Name: "alice", Key: alice}, {Name: "bob", Key: pack.PublicKey{2}}},
			Pins: []pack.Pin{{Digest: pack.Digest{7}}, {Digest: pack.Digest{8}}},
		}
		want := 1
		if word == "carol" {
			want = 0
		}
		if n := trust.Forget(word); n != want || len(trust.Keys)+len(trust.Pins) != 4-want {
			t.Errorf("Forget(%s) = %d and leaves %d, want %d and %d", word, n, len(trust.Keys)+len(trust.Pins), want, 4-want)
		}
	}
}
