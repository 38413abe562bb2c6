package identity

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/internal/known"
)

var (
	oneKey, otherKey = known.CertificatePin([]byte("one")), known.CertificatePin([]byte("other"))
	hostsText        = "# a comment\n\n" +
		"192.0.2.1:8277 " + oneKey.Tagged() + " 2026-05-01\n" +
		"  [2001:db8::1]:443\t" + strings.ToUpper(otherKey.Tagged()) + "   # the web server\r\n" +
		"[::ffff:192.0.2.1]:8277 " + otherKey.String()
)

func TestKnownHostsAreRead(t *testing.T) {
	list, err := ParseHosts("hosts", []byte(hostsText))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, h := range list {
		got = append(got, fmt.Sprint(h.Line, " ", h))
	}
	want := []string{
		"3 192.0.2.1:8277 " + oneKey.Tagged() + " 2026-05-01",
		"4 [2001:db8::1]:443 " + otherKey.Tagged(),
		"5 192.0.2.1:8277 " + otherKey.Tagged(),
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestBrokenKnownHostsNameTheLine(t *testing.T) {
	for line, want := range map[string]string{
		"192.0.2.1:8277": "got 1 words, want ADDR:PORT sha256:HEX [YYYY-MM-DD]",
		"192.0.2.1:8277 " + oneKey.Tagged() + " 2026-05-01 2026": "got 4 words",
		"192.0.2.1 " + oneKey.Tagged():                           `peer "192.0.2.1": want an address and a UDP port`,
		"example.org:8277 " + oneKey.Tagged():                    `peer "example.org:8277": want an address`,
		"192.0.2.1:0 " + oneKey.Tagged():                         `peer "192.0.2.1:0": want an address`,
		"192.0.2.1:8277 sha256:12":                               `pin "sha256:12": want 64 hexadecimal digits`,
		"192.0.2.1:8277 " + oneKey.Tagged() + " May":             `day "May": want one such as 2026-05-01`,
	} {
		list, err := ParseHosts("hosts", []byte("#\n"+line+"\n"+hostsText))
		if list != nil {
			t.Errorf("%q: got %d lines of a broken file", line, len(list))
		}
		wantError(t, line, err, "hosts:2: "+want, "mend or remove line 2")
	}
}

// TestAnyCutOrFlippedKnownHostsAreLinesOrAnError feeds each prefix and each bit flip.
func TestAnyCutOrFlippedKnownHostsAreLinesOrAnError(t *testing.T) {
	text := []byte(hostsText)
	for i := range text {
		checkHosts(t, text[:i])
		for bit := range 8 {
			text[i] ^= 1 << bit
			checkHosts(t, text)
			text[i] ^= 1 << bit
		}
	}
}

// checkHosts parses a text and writes what it says anew.
func checkHosts(t *testing.T, text []byte) {
	t.Helper()
	list, err := ParseHosts("hosts", text)
	if err != nil {
		var file *FileError
		if !errors.As(err, &file) || file.Line == 0 || list != nil {
			t.Fatalf("%q: error %v without a line", text, err)
		}
		return
	}
	for _, h := range list {
		again, err := ParseHosts("again", []byte(h.String()))
		if err != nil || len(again) != 1 || again[0].String() != h.String() {
			t.Fatalf("%q: %v was written as %v, %v", text, h, again, err)
		}
	}
}

func FuzzParseHosts(f *testing.F) {
	f.Add([]byte(hostsText))
	f.Add([]byte("[fe80::1%eth0]:1 " + oneKey.String() + " 0000-01-01#"))
	f.Fuzz(checkHosts)
}
