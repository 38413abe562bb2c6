package gateway

import (
	"bytes"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/internal/tcpq"
)

var connectCases = []struct {
	name, says  string
	users       Users
	heard, want string // heard is the status line; want is a target, or an error that begins with !
}{
	{"name", "CONNECT db.example:5432 HTTP/1.1\r\nHost: db.example:5432\r\n\r\n", nil, "", "db.example:5432"},
	{"IPv4", "CONNECT 192.0.2.1:443 HTTP/1.0\r\n\r\n", nil, "", "192.0.2.1:443"},
	{"IPv6", "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: x\r\n\r\n", nil, "", "[2001:db8::1]:443"},
	{"bare line ends", "CONNECT a:1 HTTP/1.1\nHost: a\n\n", nil, "", "a:1"},
	{"password", "CONNECT a:1 HTTP/1.1\r\nHost: a\r\nProxy-Authorization: basic YWxpY2U6c2VjcmV0\r\n\r\n", someUsers, "", "a:1"},

	{"no password", "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", someUsers, "HTTP/1.1 407 Proxy Authentication Required", `!proxy: user "": not allowed`},
	{"wrong password", "CONNECT a:1 HTTP/1.1\r\nHost: a\r\nProxy-Authorization: Basic YWxpY2U6\r\n\r\n", someUsers, "HTTP/1.1 407 Proxy Authentication Required", `!proxy: user "alice": not allowed`},
	{"password of another kind", "CONNECT a:1 HTTP/1.1\r\nHost: a\r\nProxy-Authorization: Bearer YWxpY2U6c2VjcmV0\r\n\r\n", someUsers, "HTTP/1.1 407 Proxy Authentication Required", `!proxy: user "": not allowed`},
	{"GET", "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", nil, "HTTP/1.1 405 Method Not Allowed", `!proxy: method "GET", want CONNECT: not understood`},
	{"no HTTP", "\x16\x03\x01\r\n\r\n", nil, "HTTP/1.1 400 Bad Request", "!proxy: neither SOCKS 5 nor HTTP: not understood"},
	{"no port", "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", nil, "HTTP/1.1 400 Bad Request", `!proxy: CONNECT "a": address a: missing port in address: not understood`},
	{"port 0", "CONNECT a:0 HTTP/1.1\r\nHost: a\r\n\r\n", nil, "HTTP/1.1 400 Bad Request", `!proxy: CONNECT "a:0": port "0": not understood`},
	{"no name", "CONNECT :1 HTTP/1.1\r\nHost: a\r\n\r\n", nil, "HTTP/1.1 400 Bad Request", `!proxy: CONNECT ":1": "" is no host name: not understood`},
	{"half a request", "CONNECT a:1 HTTP/1.1\r\n", nil, "", "!proxy: the connection ended within the request"},
	{"more than a request", "CONNECT a:1 HTTP/1.1\r\nX: " + strings.Repeat("x", maxRequest), nil, "", "!proxy: request longer than 8192 bytes: not understood"},
}

func TestCONNECTRequestsAreUnderstoodOrAnswered(t *testing.T) {
	for _, tc := range connectCases {
		t.Run(tc.name, func(t *testing.T) {
			c := &client{says: strings2(tc.says[1:], "rest")}
			if strings.Contains(tc.want, "ended") {
				c.says = strings2(tc.says[1:])
			}
			got, err := connect(c, tc.says[0], tc.users)
			text := got.String()
			if err != nil {
				text = "!" + err.Error()
			}
			if text != tc.want {
				t.Errorf("got %s, want %s", text, tc.want)
			}
			if line, _, _ := strings.Cut(c.heard.String(), "\r\n"); line != tc.heard {
				t.Errorf("client hears %q, want %q", line, tc.heard)
			}
			if err == nil && c.says.Len() != len("rest") {
				t.Errorf("%d bytes are left behind the request, want 4", c.says.Len())
			}
		})
	}
}

func strings2(parts ...string) *bytes.Reader { return bytes.NewReader([]byte(strings.Join(parts, ""))) }

func TestCONNECTAnswersAreThoseOfTheStatus(t *testing.T) {
	for status, want := range map[tcpq.Status]string{
		tcpq.Accepted:        "HTTP/1.1 200 OK\r\n\r\n",
		tcpq.Refused:         "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
		tcpq.HostUnreachable: "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
		tcpq.TimedOut:        "HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
		tcpq.Denied:          "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
		tcpq.Overloaded:      "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
	} {
		if got := string(connectReply(connectStatus(status))); got != want {
			t.Errorf("%v is answered %q, want %q", status, got, want)
		}
	}
}

// checkCONNECT holds what is true of all bytes.
func checkCONNECT(t *testing.T, b []byte, users Users) {
	t.Helper()
	if len(b) == 0 {
		return
	}
	c := &client{says: bytes.NewReader(b[1:])}
	got, err := connect(c, b[0], users)
	if used := len(b) - c.says.Len(); used > maxRequest {
		t.Fatalf("%q: took %d bytes, want at most %d", b, used, maxRequest)
	}
	if err == nil {
		checkTarget(t, b, got)
	}
}

func FuzzCONNECT(f *testing.F) {
	for _, tc := range connectCases {
		f.Add([]byte(tc.says), tc.users != nil)
	}
	f.Fuzz(func(t *testing.T, b []byte, auth bool) {
		var users Users
		if auth {
			users = someUsers
		}
		checkCONNECT(t, b, users)
	})
}

func TestEachPrefixAndBitFlipOfACONNECTRequestIsReadOrRefused(t *testing.T) {
	for _, tc := range connectCases[:7] {
		for n := range len(tc.says) {
			checkCONNECT(t, []byte(tc.says)[:n], tc.users)
			for bit := range 8 {
				b := []byte(tc.says)
				b[n] ^= 1 << bit
				checkCONNECT(t, b, tc.users)
			}
		}
	}
}
