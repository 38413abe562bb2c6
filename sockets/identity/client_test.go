package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/known"
)

func TestAStrangersKeyIsTakenOnceAndSaid(t *testing.T) {
	var said saying
	dir := filepath.Join(t.TempDir(), "quiver")
	client := load(t, Options{StateDir: dir, Log: said.log(), now: func() time.Time { return day }})
	srv := load(t, Options{StateDir: t.TempDir()})
	for range 3 {
		if _, _, cerr, serr := shake(t, client, srv, server, ""); cerr != nil || serr != nil {
			t.Fatal(cerr, serr)
		}
	}
	path := filepath.Join(dir, "known_hosts")
	if got, want := read(t, path), hostsHead+"192.0.2.1:8277 "+srv.Pin().Tagged()+" 2026-05-01\n"; got != want {
		t.Errorf("%s is\n%swant\n%s", path, got, want)
	}
	want := fmt.Sprintf("first contact with 192.0.2.1:8277: its key is %s, remembered in %s", srv.Pin().Tagged(), path)
	if got := said.all(); len(got) != 1 || got[0] != want {
		t.Errorf("said %q, want %q", got, want)
	}
	client.Close() // sessions are written meanwhile
	wantModes(t, dir)
}

func TestNothingIsRememberedBeforeConfirm(t *testing.T) {
	dir := t.TempDir()
	client := load(t, Options{StateDir: dir})
	conf, err := client.Client(server, "")
	if err != nil {
		t.Fatal(err)
	}
	srv := load(t, Options{StateDir: t.TempDir()})
	// A server may show a certificate whose key it has not: then the handshake fails after this.
	state := tls.ConnectionState{PeerCertificates: []*x509.Certificate{srv.own.Leaf}}
	if err := conf.VerifyConnection(state); err != nil {
		t.Fatal(err)
	}
	if err := client.Confirm(server, "", state); !errors.Is(err, errTooEarly) {
		t.Errorf("Confirm of a handshake under way: %v, want %v", err, errTooEarly)
	}
	if _, err := os.Stat(filepath.Join(dir, "known_hosts")); !os.IsNotExist(err) || len(client.hosts.lookup(server)) != 0 {
		t.Errorf("the key was remembered: %v", err)
	}
}

func TestAChangedKeyIsRefusedWithWhatWasKnown(t *testing.T) {
	dir := t.TempDir()
	client := load(t, Options{StateDir: dir, now: func() time.Time { return day }})
	before, after := load(t, Options{StateDir: t.TempDir()}), load(t, Options{StateDir: t.TempDir()})
	if _, _, cerr, serr := shake(t, client, before, server, ""); cerr != nil || serr != nil {
		t.Fatal(cerr, serr)
	}
	_, _, cerr, serr := shake(t, client, after, server, "")
	path := filepath.Join(dir, "known_hosts")
	wantError(t, "changed key", cerr,
		fmt.Sprintf("192.0.2.1:8277 has another key than before: got %s, want %s, known since 2026-05-01 (%s:2)", after.Pin().Tagged(), before.Pin().Tagged(), path),
		"only if that machine is known to have a new key, remove line 2 of "+path)
	if serr == nil {
		t.Error("the server did not hear of it")
	}
	e, ok := errors.AsType[*PinMismatchError](cerr)
	if !ok || e.Peer != server || e.Seen != after.Pin() || e.Known[0] != before.Pin() || e.File != path || e.Line != 2 {
		t.Errorf("error %+v", e)
	}
	write(t, path, read(t, path)+server.String()+" "+after.Pin().Tagged()+"\n") // and now both are good
	for _, srv := range []*Identity{before, after} {
		if _, _, cerr, _ := shake(t, client, srv, server, ""); cerr != nil {
			t.Errorf("one of two known keys: %v", cerr)
		}
	}
	write(t, path, "192.0.2.1:8277 nonsense\n")
	_, _, cerr, _ = shake(t, client, before, server, "")
	wantError(t, "broken file", cerr, path+":1: ", "mend or remove line 1")
}

func TestEachWayToTrust(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	cert, key := ours.issue("192.0.2.1", "db.example.org", "spiffe://corp/db")
	srv := load(t, Options{StateDir: t.TempDir(), Cert: cert, Key: key})
	leaf := known.CertificatePin(srv.own.Certificate[0])
	elsewhere := netip.MustParseAddrPort("192.0.2.2:8277")
	for _, tt := range []struct {
		name           string
		opts           Options
		peer           netip.AddrPort
		expect         string
		sentence, hint string // "" = trusted
	}{
		{name: "pin in options", opts: Options{Pins: []string{oneKey.String(), srv.Pin().String()}}},
		{name: "pin of the certificate", opts: Options{Pins: []string{leaf.String()}}},
		{name: "another pin in options", opts: Options{Pins: []string{oneKey.String()}},
			sentence: "has a key that is not the pinned one: got " + srv.Pin().Tagged() + ", want " + oneKey.Tagged(), hint: "ask that machine's owner"},
		{name: "pin in the rule", expect: srv.Pin().Tagged(), opts: Options{CA: theirs.file}},
		{name: "another pin in the rule", expect: oneKey.Tagged(), opts: Options{CA: ours.file},
			sentence: "not the pinned one", hint: "ask that machine's owner"},
		{name: "strict", opts: Options{Strict: true},
			sentence: "192.0.2.1:8277 is unknown: ", hint: "add the line '192.0.2.1:8277 " + srv.Pin().Tagged() + "' to "},
		{name: "authority, address", opts: Options{CA: ours.file}},
		{name: "authority, address, asked for by the rule", opts: Options{CA: ours.file}, expect: "ca"},
		{name: "authority, another address", opts: Options{CA: ours.file}, peer: elsewhere,
			sentence: "192.0.2.2:8277 is not who was expected: its certificate is for spiffe://corp/db, db.example.org, 192.0.2.1, want 192.0.2.2", hint: "'identity=' in the rule"},
		{name: "authority, name", opts: Options{CA: ours.file}, peer: elsewhere, expect: "db.example.org"},
		{name: "authority, another name", opts: Options{CA: ours.file}, expect: "web.example.org",
			sentence: "want web.example.org", hint: "'identity='"},
		{name: "authority, SPIFFE ID", opts: Options{CA: ours.file}, peer: elsewhere, expect: "spiffe://corp/*"},
		{name: "authority, another SPIFFE ID", opts: Options{CA: ours.file}, expect: "spiffe://corp/web",
			sentence: "want spiffe://corp/web", hint: "'identity='"},
		{name: "another authority", opts: Options{CA: theirs.file},
			sentence: "nobody vouches for the certificate of 192.0.2.1:8277: x509: certificate signed by unknown authority", hint: "--ca FILE"},
		{name: "authorities of the machine", expect: "db.example.org",
			sentence: "(authorities: system)", hint: "--ca FILE"},
		{name: "SPIFFE ID and nobody to vouch for it", expect: "spiffe://corp/db", sentence: "name its authorities with --ca FILE"},
		{name: "a rule that expects anybody", expect: "*", sentence: "expects nobody in particular"},
		{name: "a rule that makes no sense", expect: "a b", sentence: `identity "a b": want sha256:`},
		{name: "known hosts in spite of an authority", opts: Options{CA: theirs.file}, expect: "pin"},
		{name: "insecure", opts: Options{Insecure: true, CA: theirs.file}, expect: "web.example.org"},
		{name: "no port", peer: netip.MustParseAddrPort("192.0.2.1:0"), sentence: "want an address and a UDP port"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.opts.StateDir = t.TempDir()
			if !tt.peer.IsValid() {
				tt.peer = server
			}
			client := load(t, tt.opts)
			for _, how := range []string{"first", "resumed"} {
				state, _, cerr, serr := shake(t, client, srv, tt.peer, tt.expect)
				if tt.sentence != "" {
					wantError(t, how, cerr, tt.sentence, tt.hint)
					continue
				}
				if cerr != nil || serr != nil {
					t.Fatalf("%s: %v, %v", how, cerr, serr)
				}
				if state.DidResume != (how == "resumed") || state.Version != tls.VersionTLS13 || state.NegotiatedProtocol != protocols[0] {
					t.Errorf("%s: resumed %v, version %#x, protocol %q", how, state.DidResume, state.Version, state.NegotiatedProtocol)
				}
			}
		})
	}
}

func TestAServerAdmitsThoseWhoAreAllowed(t *testing.T) {
	ours := newAuthority(t)
	cert, key := ours.issue("spiffe://corp/web/1")
	named := load(t, Options{StateDir: t.TempDir(), Cert: cert, Key: key, Insecure: true})
	plain := load(t, Options{StateDir: t.TempDir(), Insecure: true})
	for _, tt := range []struct {
		allow        []string
		named, plain bool
	}{
		{nil, true, true},
		{[]string{"*"}, true, true},
		{[]string{"spiffe://corp/web/*"}, true, false},
		{[]string{"spiffe://corp/db/*"}, false, false},
		{[]string{"spiffe://corp/db/*", plain.Pin().Tagged()}, false, true},
		{[]string{named.Pin().Tagged()}, true, false},
	} {
		srv := load(t, Options{StateDir: t.TempDir(), CA: ours.file, Allow: tt.allow})
		for client, want := range map[*Identity]bool{named: tt.named, plain: tt.plain} {
			_, _, _, serr := shake(t, client, srv, server, "")
			if (serr == nil) != want {
				t.Errorf("allow %v, client %v: %v, want %v", tt.allow, client.Pin(), serr, want)
			}
			if serr != nil {
				wantError(t, "server", serr, "is not allowed, want "+strings.Join(tt.allow, " or "), "add it to 'allow='")
			}
		}
	}
}

func TestAClientsNameSurvivesResumption(t *testing.T) {
	ours := newAuthority(t)
	cert, key := ours.issue("spiffe://corp/web/1")
	client := load(t, Options{StateDir: t.TempDir(), Cert: cert, Key: key})
	now := time.Now()
	srv := load(t, Options{StateDir: t.TempDir(), CA: ours.file, Allow: []string{"spiffe://corp/*"}, now: func() time.Time { return now }})
	for _, resumed := range []bool{false, true, true} {
		_, state, cerr, serr := shake(t, client, srv, server, "")
		if cerr != nil || serr != nil {
			t.Fatal(cerr, serr)
		}
		if state.DidResume != resumed || !srv.Of(state).Matches("spiffe://corp/web/1") {
			t.Errorf("resumed %v, want %v; client is %v", state.DidResume, resumed, srv.Of(state))
		}
	}
	now = now.Add(2 * time.Hour) // its certificate is over, its ticket is not
	if _, _, _, serr := shake(t, client, srv, server, ""); serr == nil {
		t.Error("a resumed session outlives the certificate")
	}
}

func TestServerNameIsTheExpectedNameElseTheAddress(t *testing.T) {
	id := load(t, Options{StateDir: t.TempDir(), CA: newAuthority(t).file})
	for _, tt := range []struct{ peer, expect, want string }{
		{"192.0.2.1:1", "", "192.0.2.1"},
		{"[::ffff:192.0.2.1]:1", "pin", "192.0.2.1"},
		{"[fe80::1%eth0]:1", "pin", "fe80::1"},
		{"192.0.2.1:1", "db.example.org", "db.example.org"},
		{"192.0.2.1:1", "*.example.org", "192.0.2.1"},
		{"192.0.2.1:1", "spiffe://corp/db", "192.0.2.1"},
	} {
		conf, err := id.Client(netip.MustParseAddrPort(tt.peer), tt.expect)
		if err != nil || conf.ServerName != tt.want {
			t.Errorf("%s %q: got %v, %v, want %s", tt.peer, tt.expect, conf.ServerName, err, tt.want)
		}
	}
}
