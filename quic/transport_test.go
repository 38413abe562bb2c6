package quic

import (
	"context"
	"net"
	"strings"
	"testing"
)

// stringAddr is an address of a net.PacketConn that nobody knows.
type stringAddr string

func (stringAddr) Network() string  { return "test" }
func (a stringAddr) String() string { return string(a) }

func TestAddressesAreWhatDatagramsCarry(t *testing.T) {
	for _, test := range []struct {
		name string
		in   net.Addr
		want string // "" = an error
	}{
		{"IPv4", &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 9}, "192.0.2.1:9"},
		{"IPv6 with a zone", &net.UDPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0", Port: 9}, "[fe80::1%eth0]:9"},
		{"no address", &net.UDPAddr{Port: 9}, "127.0.0.1:9"},
		{"unspecified IPv4", &net.UDPAddr{IP: net.IPv4zero, Port: 9}, "127.0.0.1:9"},
		{"unspecified IPv6", &net.UDPAddr{IP: net.IPv6unspecified, Port: 9}, "[::1]:9"},
		{"a string", stringAddr("[2001:db8::1]:9"), "[2001:db8::1]:9"},
		{"a mapped string", stringAddr("[::ffff:192.0.2.1]:9"), "192.0.2.1:9"},
		{"no address at all", stringAddr("pigeon"), ""},
		{"nil", nil, ""},
	} {
		got, err := addrPort(test.in)
		if test.want == "" {
			if err == nil {
				t.Errorf("%s: got %v, want an error", test.name, got)
			}
			continue
		}
		if err != nil || got.String() != test.want {
			t.Errorf("%s: got %v, error %v, want %s", test.name, got, err, test.want)
		}
	}
}

func TestNamesAreResolvedUnderTheContext(t *testing.T) {
	ctx := context.Background()
	for in, want := range map[string]string{
		"192.0.2.1:443": "192.0.2.1:443", "[2001:db8::1]:443": "[2001:db8::1]:443", "[::ffff:192.0.2.1]:443": "192.0.2.1:443",
		":443": ":443", "[fe80::1%lo]:1": "[fe80::1%lo]:1",
	} {
		got, err := resolve(ctx, in)
		if err != nil || got.String() != want {
			t.Errorf("resolve(%q) = %v, %v, want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"", "host", "192.0.2.1:no-such-service", "192.0.2.1:70000"} {
		if got, err := resolve(ctx, in); err == nil {
			t.Errorf("resolve(%q) = %v, want an error", in, got)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	if got, err := resolve(ctx, "name.invalid:443"); err == nil {
		t.Errorf("resolve under a context that is done = %v, want an error", got)
	}
}

func TestErrorsReadAsSentences(t *testing.T) {
	for want, err := range map[string]error{
		"quic: closed connection: FLOW_CONTROL_ERROR: too much":                     &TransportError{Code: 3, Reason: "too much"},
		"quic: peer closed connection: CRYPTO_ERROR 0x12a (bad certificate)":        &TransportError{Code: 0x12a, Remote: true},
		"quic: peer closed connection: error 0x999":                                 &TransportError{Code: 0x999, Remote: true},
		"quic: closed connection: application error 0x7":                            &ApplicationError{Code: 7},
		"quic: peer canceled stream 4 with code 0x1":                                &StreamError{StreamID: 4, Code: 1, Remote: true},
		"quic: canceled stream 4 with code 0x1":                                     &StreamError{StreamID: 4, Code: 1},
		"quic: idle timeout: no packet from the peer":                               &IdleTimeoutError{},
		"quic: handshake did not complete in time":                                  &HandshakeTimeoutError{},
		"quic: peer lost the connection (stateless reset)":                          &StatelessResetError{},
		"quic: no common version: server has [v2], we have [v1]":                    &VersionNegotiationError{Ours: []Version{1}, Theirs: []Version{0x6b3343cf}},
		"quic: write after the end of the stream: use of closed network connection": errFinished,
		"quic: the peer does not allow another stream yet":                          ErrStreamLimit,
	} {
		if err.Error() != want {
			t.Errorf("%T: got %q, want %q", err, err, want)
		}
		ne, timeout := err.(net.Error)
		temporary, _ := err.(interface{ Temporary() bool })
		if timeout && (!ne.Timeout() || temporary.Temporary()) {
			t.Errorf("%T: want Timeout and not Temporary", err)
		}
	}
}

func TestDialAndListenNameTheAddress(t *testing.T) {
	if _, err := ListenAddr("127.0.0.1:no-such-service", nil, nil); err == nil || !strings.Contains(err.Error(), "no-such-service") {
		t.Errorf("listen: got %v, want the address in it", err)
	}
	if _, err := ListenAddr("192.0.2.1:1", nil, nil); err == nil || !strings.Contains(err.Error(), "192.0.2.1:1") {
		t.Errorf("listen on an address of others: got %v, want it named", err)
	}
	if _, err := ListenAddr("127.0.0.1:0", nil, nil); err == nil {
		t.Error("listen without a TLS configuration: no error")
	}
	if _, err := DialAddr(context.Background(), "nowhere", nil, nil); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("dial: got %v, want the address in it", err)
	}
	if _, err := DialAddr(context.Background(), "127.0.0.1:9", nil, nil); err == nil || !strings.Contains(err.Error(), "NextProtos") {
		t.Errorf("dial without a TLS configuration: got %v, want what is missing", err)
	}
	if _, err := DialAddr(context.Background(), "127.0.0.1:9", nil, &Config{Congestion: "x"}); err == nil {
		t.Error("dial with a wrong Config: no error")
	}
}
