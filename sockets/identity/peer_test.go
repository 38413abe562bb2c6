package identity

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/internal/known"
)

func TestPeersMatchThePatternsThatMeanThem(t *testing.T) {
	key, cert := known.CertificatePin([]byte("key")), known.CertificatePin([]byte("certificate"))
	p := Peer{
		Key: key, certificate: cert,
		Names: []string{"db.example.org", "*.web.example.org"}, Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")},
		SPIFFE: []string{"spiffe://corp/web/1"},
	}
	for s, want := range map[string]bool{
		"*":              true,
		key.Tagged():     true,
		key.String():     true,
		cert.Tagged():    true,
		"db.example.org": true, "DB.Example.org.": true, "*.example.org": true,
		"a.web.example.org": true, "*.web.example.org": true,
		"192.0.2.1": true, "::ffff:192.0.2.1": true, "2001:db8::1": true,
		"spiffe://corp/web/1": true, "spiffe://corp/*": true, "spiffe://corp/web/*": true, "spiffe://corp/we*": true,

		"": false, "example.org": false, "org": false, "*.org": false, "web.example.org": false, "a.b.web.example.org": false,
		"b.example.org": false, "*.db.example.org": false,
		"192.0.2.2": false, "2001:db8::2": false,
		"spiffe://corp": false, "spiffe://corp/": false, "spiffe://corp/web": false, "spiffe://cor*": false, "spiffe://corp*": false,
		"spiffe://*": false, "spiffe://corp.evil/*": false, "spiffe://corp/*/1": false, "SPIFFE://corp/web/1": false,
		known.CertificatePin(nil).Tagged(): false, "sha256:12": false, Pin{}.Tagged(): false,
	} {
		if got := p.Matches(s); got != want {
			t.Errorf("Matches(%q) = %v, want %v", s, got, want)
		}
	}
}

func TestWhoShowsNoCertificateMatchesNothing(t *testing.T) {
	p := Of(tls.ConnectionState{})
	for _, s := range []string{"*", "", Pin{}.Tagged(), "localhost"} {
		if p.Matches(s) {
			t.Errorf("somebody without a certificate matches %q", s)
		}
	}
	if p.String() != "without a certificate" {
		t.Errorf("he is called %q", p)
	}
}

func TestPatternsThatMeanNothingAreRefused(t *testing.T) {
	for s, want := range map[string]string{
		"":                  "want sha256:",
		"sha256:12":         "want 64 hexadecimal digits",
		"spiffe://":         "want spiffe://DOMAIN/PATH",
		"spiffe://corp*":    "want spiffe://DOMAIN/PATH",
		"spiffe://*/web":    "want spiffe://DOMAIN/PATH",
		"spiffe://corp/*/a": "want spiffe://DOMAIN/PATH",
		"a b":               "want sha256:",
		"a..b":              "want sha256:",
		"web.*":             "want sha256:",
		"*.*.org":           "want sha256:",
		"*.":                "want sha256:",
		"ü.example":         "want sha256:",

		strings.Repeat("a.", 200) + "org": "want sha256:",
	} {
		if err := CheckPattern(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("CheckPattern(%q) = %v, want %q", s, err, want)
		}
	}
	for _, s := range []string{"*", "host", "*.example.org", "spiffe://corp", "spiffe://corp/*", "::1", known.CertificatePin(nil).String()} {
		if err := CheckPattern(s); err != nil {
			t.Errorf("CheckPattern(%q) = %v", s, err)
		}
	}
}

func TestNamesCountOnlyWhenAnAuthorityVouchesForThem(t *testing.T) {
	good, bad := newAuthority(t), newAuthority(t)
	for _, tt := range []struct {
		name string
		by   *authority
		want bool
	}{{"our authority", good, true}, {"another authority", bad, false}} {
		cert, key := tt.by.issue("client.example.org", "spiffe://corp/web", "192.0.2.9")
		client := load(t, Options{StateDir: t.TempDir(), Cert: cert, Key: key, Insecure: true})
		srv := load(t, Options{StateDir: t.TempDir(), CA: good.file})
		_, state, cerr, serr := shake(t, client, srv, server, "")
		if cerr != nil || serr != nil {
			t.Fatalf("%s: %v, %v", tt.name, cerr, serr)
		}
		p := srv.Of(state)
		for _, pattern := range []string{"client.example.org", "spiffe://corp/*", "192.0.2.9"} {
			if got := p.Matches(pattern); got != tt.want {
				t.Errorf("%s: matches %s: %v, want %v", tt.name, pattern, got, tt.want)
			}
		}
		if !p.Matches(client.Pin().Tagged()) || !Of(state).Matches(client.Pin().Tagged()) {
			t.Errorf("%s: %v has not the key %v", tt.name, p, client.Pin())
		}
		if got := Of(state); got.Names != nil || got.SPIFFE != nil || got.Addrs != nil {
			t.Errorf("%s: Of, without authorities, says %v", tt.name, got.claims())
		}
	}
}

func TestACertificateWithTwoURIsHasNoSPIFFEID(t *testing.T) {
	a := newAuthority(t)
	cert, key := a.issue("spiffe://corp/web", "spiffe://corp/db")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	p := newPeer(pair.Leaf, true)
	if len(p.SPIFFE) != 0 || p.claims() != "nobody by name" {
		t.Errorf("it is %v", p.claims())
	}
	if p := newPeer(&x509.Certificate{}, true); p.Matches("localhost") {
		t.Error("an empty certificate has a name")
	}
}
