package report

import (
	"testing"

	"github.com/seed51309289/quiver/sockets/identity"
)

func TestPeersAreNamedByWhatIsSurest(t *testing.T) {
	key := identity.Pin{1}
	for _, tc := range []struct {
		name string
		who  identity.Peer
		want string
	}{
		{"nobody", identity.Peer{}, ""},
		{"a key", identity.Peer{Key: key}, "sha256:" + key.String()},
		{"a name", identity.Peer{Key: key, Names: []string{"a.example"}}, "a.example"},
		{"a SPIFFE ID", identity.Peer{Key: key, Names: []string{"a.example"}, SPIFFE: []string{"spiffe://example/a"}}, "spiffe://example/a"},
	} {
		if got := name(tc.who); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}
