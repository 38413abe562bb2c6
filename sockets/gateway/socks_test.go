package gateway

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/internal/tcpq"
)

// client is somebody who has said all that it will say.
type client struct {
	says  *bytes.Reader
	heard bytes.Buffer
}

func (c *client) Read(p []byte) (int, error)  { return c.says.Read(p) }
func (c *client) Write(p []byte) (int, error) { return c.heard.Write(p) }

// unhex reads spaced hex with words in quotes between.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	var out []byte
	for i, part := range strings.Split(s, "'") {
		if i%2 == 1 {
			out = append(out, part...)
			continue
		}
		b, err := hex.DecodeString(strings.ReplaceAll(part, " ", ""))
		if err != nil {
			t.Fatalf("%q: %v", part, err)
		}
		out = append(out, b...)
	}
	return out
}

var someUsers = mustUsers("alice:secret\nbob:\n")

func mustUsers(text string) Users {
	users, err := ParseUsers("users", text)
	if err != nil {
		panic(err)
	}
	return users
}

// socksCases are what clients say behind the version, and what comes of it.
var socksCases = []struct {
	name, says  string
	users       Users
	heard, want string // want is a target, or an error that begins with !
}{
	{"IPv4", "01 00 | 05 01 00 01 c0000201 01bb", nil, "05 00", "192.0.2.1:443"},
	{"IPv6", "01 00 | 05 01 00 04 20010db8000000000000000000000001 01bb", nil, "05 00", "[2001:db8::1]:443"},
	{"IPv4 in IPv6", "01 00 | 05 01 00 04 00000000000000000000ffffc0000201 01bb", nil, "05 00", "192.0.2.1:443"},
	{"name", "02 00 02 | 05 01 00 03 0a 'db.example' 1538", nil, "05 00", "db.example:5432"},
	{"name with a dot", "01 00 | 05 01 00 03 0b 'db.example.' 1538", nil, "05 00", "db.example:5432"},
	{"address as a name", "01 00 | 05 01 00 03 09 '192.0.2.1' 01bb", nil, "05 00", "192.0.2.1:443"},
	{"password", "02 00 02 | 01 05 'alice' 06 'secret' | 05 01 00 01 c0000201 01bb", someUsers, "05 02 01 00", "192.0.2.1:443"},
	{"empty password", "01 02 | 01 03 'bob' 00 | 05 01 00 01 c0000201 01bb", someUsers, "05 02 01 00", "192.0.2.1:443"},

	{"wrong password", "01 02 | 01 05 'alice' 06 'Secret'", someUsers, "05 02 01 01", `!SOCKS: user "alice": not allowed`},
	{"wrong user", "01 02 | 01 05 'carol' 06 'secret'", someUsers, "05 02 01 01", `!SOCKS: user "carol": not allowed`},
	{"no password", "01 00", someUsers, "05 ff", "!SOCKS: no password offered: not allowed"},
	{"password of another version", "01 02 | 05", someUsers, "05 02", "!SOCKS: password of version 5: not understood"},
	{"no method", "00", nil, "05 ff", "!SOCKS: methods , want 00: not understood"},
	{"only GSSAPI", "01 01", nil, "05 ff", "!SOCKS: methods 01, want 00: not understood"},
	{"request of another version", "01 00 | 04 01 00 01", nil, "05 00", "!SOCKS: request of version 4: not understood"},
	{"BIND", "01 00 | 05 02 00 01 c0000201 01bb", nil, "05 00 05 07 00 01 00000000 0000", "!SOCKS: command 2, want CONNECT: not understood"},
	{"UDP", "01 00 | 05 03 00 01 00000000 0000", nil, "05 00 05 07 00 01 00000000 0000", "!SOCKS: command 3, want CONNECT: not understood"},
	{"address of no type", "01 00 | 05 01 00 02", nil, "05 00 05 08 00 01 00000000 0000", "!SOCKS: unknown type of address: not understood"},
	{"empty name", "01 00 | 05 01 00 03 00 01bb", nil, "05 00 05 01 00 01 00000000 0000", `!SOCKS: "" is no host name: not understood`},
	{"name with a blank", "01 00 | 05 01 00 03 03 'a b' 01bb", nil, "05 00 05 01 00 01 00000000 0000", `!SOCKS: "a b" is no host name: not understood`},
	{"port 0", "01 00 | 05 01 00 01 c0000201 0000", nil, "05 00 05 01 00 01 00000000 0000", "!SOCKS: port 0: not understood"},
	{"nothing", "", nil, "", "!SOCKS: the connection ended within the handshake"},
	{"methods only", "01 00", nil, "05 00", "!SOCKS: the connection ended before the request"},
	{"half a password", "01 02 | 01 05 'al'", someUsers, "05 02", "!SOCKS: the connection ended within the handshake"},
	{"half a request", "01 00 | 05 01 00 01 c000", nil, "05 00", "!SOCKS: the connection ended within the request"},
}

func TestSOCKSRequestsAreUnderstoodOrAnswered(t *testing.T) {
	for _, tc := range socksCases {
		t.Run(tc.name, func(t *testing.T) {
			c := &client{says: bytes.NewReader(append(unhex(t, strings.ReplaceAll(tc.says, "|", "")), "rest"...))}
			if strings.Contains(tc.want, "ended") {
				c.says = bytes.NewReader(unhex(t, strings.ReplaceAll(tc.says, "|", "")))
			}
			got, err := socks(c, tc.users)
			text := got.String()
			if err != nil {
				text = "!" + err.Error()
			}
			if text != tc.want {
				t.Errorf("got %s, want %s", text, tc.want)
			}
			if heard := c.heard.Bytes(); !bytes.Equal(heard, unhex(t, tc.heard)) {
				t.Errorf("client hears %x, want %s", heard, tc.heard)
			}
			if err == nil && c.says.Len() != len("rest") {
				t.Errorf("%d bytes are left behind the request, want 4", c.says.Len())
			}
		})
	}
}

func TestSOCKSAnswersAreThoseOfTheStatus(t *testing.T) {
	for status, want := range map[tcpq.Status]byte{
		tcpq.Accepted: 0, tcpq.Refused: 5, tcpq.HostUnreachable: 4, tcpq.NetUnreachable: 3, tcpq.TimedOut: 6, tcpq.Denied: 2, tcpq.NoListener: 5, tcpq.Overloaded: 1, tcpq.Elsewhere: 1,
	} {
		if got := socksReply(socksCode(status)); !bytes.Equal(got, []byte{5, want, 0, 1, 0, 0, 0, 0, 0, 0}) {
			t.Errorf("%v is answered %x, want code %d", status, got, want)
		}
	}
}

func TestEachPrefixAndBitFlipOfASOCKSRequestIsReadOrRefused(t *testing.T) {
	for _, tc := range socksCases {
		b := unhex(t, strings.ReplaceAll(tc.says, "|", ""))
		for n := range b {
			checkSOCKS(t, b[:n], tc.users)
			for bit := range 8 {
				flipped := bytes.Clone(b)
				flipped[n] ^= 1 << bit
				checkSOCKS(t, flipped, tc.users)
			}
		}
	}
}

// maxSOCKS is the longest request: methods, name and password, and a name of 255 bytes.
const maxSOCKS = 1 + 255 + 1 + 256 + 256 + 4 + 256 + 2

// checkSOCKS holds what is true of all bytes.
func checkSOCKS(t *testing.T, b []byte, users Users) {
	t.Helper()
	c := &client{says: bytes.NewReader(b)}
	got, err := socks(c, users)
	if used := len(b) - c.says.Len(); used > maxSOCKS {
		t.Fatalf("%x: took %d bytes", b, used)
	}
	if err == nil {
		checkTarget(t, b, got)
	}
	if c.heard.Len() > 14 {
		t.Fatalf("%x: answered %x", b, c.heard.Bytes())
	}
}

// checkTarget wants what an OPEN can carry.
func checkTarget(t *testing.T, b []byte, got target) {
	t.Helper()
	if got.port == 0 || got.addr.IsValid() == (got.name != "") || got.name != "" && !tcpq.ValidName(got.name) || got.addr.Is4In6() || got.addr.Zone() != "" {
		t.Fatalf("%x: asks for %+v, which is no destination", b, got)
	}
}

func FuzzSOCKS(f *testing.F) {
	for _, tc := range socksCases {
		f.Add(unhex(f, strings.ReplaceAll(tc.says, "|", "")), tc.users != nil)
	}
	f.Fuzz(func(t *testing.T, b []byte, auth bool) {
		var users Users
		if auth {
			users = someUsers
		}
		checkSOCKS(t, b, users)
	})
}

func TestUsersAreReadFromLines(t *testing.T) {
	u := mustUsers("# comment\n\nalice:se:cret\r\nbob:\n")
	for _, tc := range []struct {
		name, password string
		want           bool
	}{{"alice", "se:cret", true}, {"alice", "se", false}, {"bob", "", true}, {"bob", "x", false}, {"", "", false}, {"carol", "", false}} {
		if got := u.have(tc.name, tc.password); got != tc.want {
			t.Errorf("have(%q, %q) = %v, want %v", tc.name, tc.password, got, tc.want)
		}
	}
	var many strings.Builder
	for i := range maxUsers {
		fmt.Fprintf(&many, "u%d:p\n", i)
	}
	mustUsers(many.String())
	for text, want := range map[string]string{
		"":                                   "f: no user in it, want lines of USER:PASSWORD",
		"alice":                              "f:1: want USER:PASSWORD, of at most 255 bytes each",
		":x":                                 "f:1: want USER:PASSWORD, of at most 255 bytes each",
		"a:" + strings.Repeat("x", 256):      "f:1: want USER:PASSWORD, of at most 255 bytes each",
		"a:x\na:y":                           `f:2: user "a" is there twice`,
		many.String() + "one more than:that": "f:1025: more than 1024 users",
	} {
		if _, err := ParseUsers("f", text); err == nil || err.Error() != want {
			t.Errorf("%.20q: error %v, want %s", text, err, want)
		}
	}
}

func TestErrorsOfClientsAreKnownByKind(t *testing.T) {
	if _, err := socks(&client{says: bytes.NewReader([]byte{1, 2, 1, 1, 'x', 0})}, someUsers); !errors.Is(err, errDenied) {
		t.Errorf("error %v, want errDenied", err)
	}
}
